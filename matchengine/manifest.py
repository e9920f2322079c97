"""The manifest of a backup: which files belong to it, how large they are, their hashes, and what they hold.

    BACKUP    JSON, one line per member, with a crc32 member over the others; written when all else is there

A directory without it is no backup, or an interrupted one. Whether the files are still those that were
written is told by `changed_files`. Who copies what, and when, is in `backup` and `restore`.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit

FORMAT_VERSION = 1
MANIFEST_FILE = "BACKUP"
MANIFEST_BYTES_MAX = 64 << 20  # some 300,000 files
CHUNK_BYTES = 1 << 20
MODE_MAX = 0o640  # a file that is more secret than that stays so

_HASH = re.compile(r"[0-9a-f]{64}")


class BackupFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file; `name` is its path in the backup, with slashes."""

    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds: the state after `sequence`, whose journal time is `time_us`.

    `state_hash` is that of the state, the ids are the highest given up to it. `history_sequence`: how far
    the history in it has come, never past `sequence`; None when it holds none.
    """

    format_version: int
    system_id: str
    created_us: int
    epoch: int
    sequence: int
    time_us: int
    operation_id: int
    order_id: int
    deal_id: int
    state_hash: str
    history_sequence: int | None
    files: list[BackupFile]


def write_manifest(disk: Disk, directory: Path, manifest: Manifest) -> None:
    """Makes what is in `directory` a backup, durably. Raises: OSError."""
    members = msgspec.to_builtins(manifest)
    text = json.dumps({**members, "crc32": _crc(members)}, indent=1) + "\n"
    disk.write_atomically(directory / MANIFEST_FILE, text.encode())


def read_manifest(disk: Disk, directory: Path) -> Manifest:
    """The manifest of a backup. Raises: ProcessExit with a sentence; the files are not looked at."""
    path = directory / MANIFEST_FILE
    try:
        data = disk.read_file(path, MANIFEST_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        raise _refusal(
            f"{directory} is not a whole backup (no {MANIFEST_FILE} file): it was interrupted, or is "
            "something else"
        ) from None
    except OSError as error:
        raise _refusal(f"{path} can not be read: {error}") from error
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"{path} is damaged: {error}") from error
    if not isinstance(members, dict) or members.pop("crc32", None) != _crc(members):
        raise _refusal(f"{path} is damaged or was edited: its checksum is wrong")
    version = members.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise _refusal(
            f"{path} has format {version}, this version reads up to {FORMAT_VERSION}: use the newer version "
            "of VX Exchange that wrote it"
        )
    try:
        manifest = msgspec.convert(members, Manifest)
    except msgspec.ValidationError as error:
        raise _refusal(f"{path} is damaged: {error}") from error
    for file in manifest.files:
        if not _is_safe(file.name) or not _HASH.fullmatch(file.sha256):
            raise _refusal(f"{path} is damaged: it names a file {file.name!r}")
    return manifest


def changed_files(
    disk: Disk, directory: Path, files: list[BackupFile], progress: Callable[[str], None]
) -> list[str]:
    """A sentence for each file that is not what it was when it was written. Reads all of them."""
    found = []
    for number, file in enumerate(files, start=1):
        progress(f"reading back {number} of {len(files)}: {file.name}")
        path = directory / file.name
        try:
            size_bytes, sha256 = hash_file(disk, path)
        except FileNotFoundError:
            found.append(f"{path} is missing")
        except OSError as error:
            found.append(f"{path} can not be read: {error}")
        else:
            if size_bytes != file.size_bytes:
                found.append(f"{path} has {size_bytes} bytes, it had {file.size_bytes}")
            elif sha256 != file.sha256:
                found.append(f"{path} has changed: its hash is another one")
    return found


def hash_file(disk: Disk, path: Path) -> tuple[int, str]:
    """(bytes, sha256) of a file, read from the disk where that is possible. Raises: OSError."""
    digest = hashlib.sha256()
    fd = disk.open_to_read(path)
    try:
        disk.drop_cache(fd)
        offset = 0
        while chunk := disk.pread(fd, CHUNK_BYTES, offset):
            digest.update(chunk)
            offset += len(chunk)
    finally:
        disk.close(fd)
    return offset, digest.hexdigest()


def copy_file(
    disk: Disk,
    source: Path,
    target: Path,
    size_max: int | None = None,
    step: Callable[[], None] | None = None,
) -> tuple[int, str]:
    """Copies the first `size_max` bytes (None: all) to the new file `target`, synced; (bytes, sha256).

    `step` is called after each chunk, to rest. Raises: OSError; FileNotFoundError when there is no source.
    """
    digest = hashlib.sha256()
    offset = 0
    reading = disk.open_to_read(source)
    try:
        writing = disk.create(target, exclusive=True)
        try:
            target.chmod(source.stat().st_mode & MODE_MAX)
            while size_max is None or offset < size_max:
                wanted = CHUNK_BYTES if size_max is None else min(CHUNK_BYTES, size_max - offset)
                chunk = disk.pread(reading, wanted, offset)
                if not chunk:
                    break
                disk.pwrite(writing, chunk, offset)
                digest.update(chunk)
                offset += len(chunk)
                if step is not None:
                    step()
            disk.fsync(writing)
        finally:
            disk.close(writing)
    finally:
        disk.close(reading)
    return offset, digest.hexdigest()


def _is_safe(name: str) -> bool:
    """Whether a name stays inside the directory it is put under."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name


def _crc(members: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())


def _refusal(sentence: str) -> ProcessExit:
    return ProcessExit(ExitCode.JOURNAL_DAMAGED, sentence)
