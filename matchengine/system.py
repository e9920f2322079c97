"""The SYSTEM file: which system a data directory belongs to, and that it is the directory itself, not a copy.

    SYSTEM     JSON, one line per member, with a crc32 member over the others; replaced at every start
    IDENTITY   made once and never written again: its inode number is part of the directory's identity

A start refuses a directory without SYSTEM, because a disk that is not mounted must not look like a new
exchange. It refuses a copy, because two engines on copies of one directory would both go on from the same
past. A copy is known by inode numbers: SYSTEM holds those of the directory and of IDENTITY, and `cp -a` or
rsync makes new ones. Renaming the directory, or remounting its disk elsewhere, changes neither. (SYSTEM
itself gets a new inode at each start, so its own number would say nothing.)

A block-for-block image of a disk can not be told apart; the lock of the process and the epochs in the sinks
stand against that. Not here: the lock, the journal and slices beside it.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import msgspec

from vxutils.disk import Disk

FORMAT_VERSION = 1
SYSTEM_FILE = "SYSTEM"
IDENTITY_FILE = "IDENTITY"
FILE_BYTES_MAX = 64 * 1024
EPOCH_MAX = 2**32 - 1
# An adopted copy goes on far past the original's epochs: should that one come back to life, the two never
# share an epoch, and whoever receives from both can tell which is in force.
ADOPTED_EPOCHS = 1000


class SystemFileError(Exception):
    """The data directory can not be used. The text is a sentence for the operator."""


class SystemMissing(SystemFileError):
    """There is no SYSTEM file."""


class SystemDamaged(SystemFileError):
    """The SYSTEM file is there and does not hold what was written."""


class SystemNewer(SystemFileError):
    """A later version wrote it."""


class SystemCopied(SystemFileError):
    """The directory is a copy of the one that the SYSTEM file was made for."""


class SystemExists(SystemFileError):
    """There is one already."""


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says. `system_id` is 32 hexadecimal digits, `last_epoch` 0 before the first start."""

    format_version: int
    system_id: str
    created_us: int
    last_epoch: int
    directory_inode: int
    identity_inode: int

    @property
    def id_bytes(self) -> bytes:
        """The 16 bytes that journal and slices carry."""
        return bytes.fromhex(self.system_id)


def create_system(disk: Disk, directory: Path, system_id: str, now_us: int) -> System:
    """Makes `directory` (which may be missing) the data directory of a new system.

    `system_id` is a random uuid as 32 hexadecimal digits. May be repeated when it was interrupted.

    Raises: SystemExists; OSError.
    """
    assert len(bytes.fromhex(system_id)) == 16, "a system id is 16 bytes"
    if disk.exists(directory / SYSTEM_FILE):
        raise SystemExists(f"{directory} is a data directory already; choose another one")
    disk.make_directory(directory)
    directory_inode, identity_inode = _mark_place(disk, directory, system_id)
    system = System(FORMAT_VERSION, system_id, now_us, 0, directory_inode, identity_inode)
    _write(disk, directory, system)
    return system


def read_system(disk: Disk, directory: Path) -> System:
    """The SYSTEM file of a data directory, proven to be at its own place.

    Raises: SystemMissing, SystemDamaged, SystemNewer, SystemCopied, SystemFileError (unreadable).
    """
    system = _read(disk, directory)
    try:
        place = (disk.inode(directory), disk.inode(directory / IDENTITY_FILE))
    except FileNotFoundError:
        place = (0, 0)
    except OSError as error:
        raise SystemFileError(f"{directory} can not be read: {error}") from error
    if place != (system.directory_inode, system.identity_inode):
        raise SystemCopied(
            f"{directory} is a copy of system {system.system_id}. Two engines must never go on from one "
            f"past: `vx adopt --data-dir {directory}` if the original is gone for good"
        )
    return system


def read_copied_system(disk: Disk, directory: Path) -> System:
    """The SYSTEM file of a directory that is only read: it may be a copy.

    Raises: SystemMissing, SystemDamaged, SystemNewer, SystemFileError (unreadable).
    """
    return _read(disk, directory)


def require_system(disk: Disk, directory: Path) -> None:
    """Raises SystemMissing (or another SystemFileError) unless there is a sound SYSTEM file; copies pass."""
    _read(disk, directory)


def open_epoch(disk: Disk, directory: Path) -> System:
    """Begins a new epoch, durably; it is `last_epoch` of the result. For each start, under the lock.

    Raises: what `read_system` raises; OSError when it can not be written (the old epoch stays).
    """
    system = read_system(disk, directory)
    assert system.last_epoch < EPOCH_MAX, "epochs are used up"
    opened = msgspec.structs.replace(system, last_epoch=system.last_epoch + 1)
    _write(disk, directory, opened)
    return opened


def adopt(disk: Disk, directory: Path) -> System:
    """Makes a copied data directory the real one: its own place is written into its SYSTEM file.

    Only when the original is gone for good.

    Raises: SystemMissing, SystemDamaged, SystemNewer; OSError.
    """
    system = _read(disk, directory)
    directory_inode, identity_inode = _mark_place(disk, directory, system.system_id)
    adopted = msgspec.structs.replace(
        system,
        directory_inode=directory_inode,
        identity_inode=identity_inode,
        last_epoch=min(system.last_epoch + ADOPTED_EPOCHS, EPOCH_MAX - 1),
    )
    _write(disk, directory, adopted)
    return adopted


def restore_system(disk: Disk, directory: Path, backed_up: System, epoch: int) -> System:
    """Makes `directory`, which was put together from a backup, the system itself, at this epoch.

    `epoch` is above all that were seen anywhere. Raises: SystemExists; OSError.
    """
    assert backed_up.last_epoch < epoch <= EPOCH_MAX, "epochs only go up"
    if disk.exists(directory / SYSTEM_FILE):
        raise SystemExists(f"{directory} is a data directory already; choose another one")
    directory_inode, identity_inode = _mark_place(disk, directory, backed_up.system_id)
    restored = msgspec.structs.replace(
        backed_up, directory_inode=directory_inode, identity_inode=identity_inode, last_epoch=epoch
    )
    _write(disk, directory, restored)
    return restored


def _mark_place(disk: Disk, directory: Path, system_id: str) -> tuple[int, int]:
    identity = directory / IDENTITY_FILE
    if not disk.exists(identity):
        text = (
            f"{system_id}\nThis file tells the data directory from a copy of it. Never write or replace it.\n"
        )
        disk.write_atomically(identity, text.encode())
    return disk.inode(directory), disk.inode(identity)


def _crc(members: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())


def _write(disk: Disk, directory: Path, system: System) -> None:
    members: dict[str, object] = msgspec.to_builtins(system)
    text = json.dumps({**members, "crc32": _crc(members)}, indent=2) + "\n"
    disk.write_atomically(directory / SYSTEM_FILE, text.encode())


def _read(disk: Disk, directory: Path) -> System:
    path = directory / SYSTEM_FILE
    try:
        data = disk.read_file(path, FILE_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        raise SystemMissing(
            f"{directory} is not a data directory (no {SYSTEM_FILE} file): a disk that is not mounted? "
            f"`vx init --data-dir {directory}` makes a new, empty one"
        ) from None
    except OSError as error:
        raise SystemFileError(f"{path} can not be read: {error}") from error
    damaged = f"{path} is damaged: put it back from a backup of this directory"
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SystemDamaged(f"{damaged} ({error})") from error
    if not isinstance(members, dict) or members.pop("crc32", None) != _crc(members):
        raise SystemDamaged(f"{damaged} (its checksum is wrong; it is not meant to be edited)")
    version = members.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise SystemNewer(
            f"{path} has format {version}, this version reads up to {FORMAT_VERSION}: start the newer "
            "version of VX Exchange that wrote it"
        )
    try:
        return msgspec.convert(members, System)
    except msgspec.ValidationError as error:
        raise SystemDamaged(f"{damaged} ({error})") from error
