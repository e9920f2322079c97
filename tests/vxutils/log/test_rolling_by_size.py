"""Full files are renamed up the chain, never lost before their time, and followed by other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vxutils.log_file import RollingFile

WRITER = """
import sys, time
from vxutils.log_file import RollingFile
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
file = RollingFile(path, "size", 4096, 0, 7)
for number in range(count):
    file.write(f"{name} {number} {'x' * 40}\\n".encode(), time.time())
"""


def write_lines(file: RollingFile, count: int) -> None:
    for number in range(count):
        file.write(b"%03d......\n" % number, 0.0)  # 10 bytes


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text()[:3] for path in sorted(directory.iterdir())}


@pytest.mark.parametrize(
    ("num", "left"),
    [
        (0, {"a.log": "009", "a.log.1": "006", "a.log.2": "003", "a.log.3": "000"}),
        (3, {"a.log": "009", "a.log.1": "006", "a.log.2": "003"}),
        (2, {"a.log": "009", "a.log.1": "006"}),
        (1, {"a.log": "009"}),
    ],
)
def test_num_files_are_kept(tmp_path: Path, num: int, left: dict[str, str]) -> None:
    file = RollingFile(str(tmp_path / "a"), "size", 32, num, 7)
    write_lines(file, 10)
    assert contents(tmp_path) == left


def test_a_smaller_num_clears_what_is_beyond(tmp_path: Path) -> None:
    write_lines(RollingFile(str(tmp_path / "a"), "size", 32, 0, 7), 16)
    write_lines(RollingFile(str(tmp_path / "a"), "size", 32, 3, 7), 3)
    assert sorted(contents(tmp_path)) == ["a.log", "a.log.1", "a.log.2"]


def test_a_gap_in_the_chain_ends_the_renaming(tmp_path: Path) -> None:
    (tmp_path / "a.log.2").write_text("old")
    write_lines(RollingFile(str(tmp_path / "a"), "size", 32, 0, 7), 4)
    assert contents(tmp_path) == {"a.log": "003", "a.log.1": "000", "a.log.2": "old"}


def test_a_line_longer_than_a_file_is_written_whole(tmp_path: Path) -> None:
    file = RollingFile(str(tmp_path / "a"), "size", 32, 0, 7)
    file.write(b"y" * 100 + b"\n", 0.0)
    file.write(b"next\n", 0.0)
    assert (tmp_path / "a.log.1").stat().st_size == 101
    assert (tmp_path / "a.log").read_bytes() == b"next\n"


def test_a_file_renamed_or_removed_by_others_is_left(tmp_path: Path) -> None:
    file = RollingFile(str(tmp_path / "a"), "size", 10_000, 0, 7)
    file.write(b"one\n", 0.0)
    (tmp_path / "a.log").rename(tmp_path / "moved")
    file.write(b"two\n", 0.0)
    (tmp_path / "a.log").unlink()
    file.write(b"three\n", 0.0)
    assert contents(tmp_path) == {"a.log": "thr", "moved": "one"}


def test_what_is_there_is_continued(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("before\n")
    RollingFile(str(tmp_path / "a"), "size", 10_000, 0, 7).write(b"after\n", 0.0)
    assert (tmp_path / "a.log").read_text() == "before\nafter\n"


def test_a_wrong_path_is_found_at_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        RollingFile(str(tmp_path / "missing" / "a"), "size", 10_000, 0, 7).open(0.0)


def test_a_line_after_a_torn_one_begins_at_the_margin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RollingFile(str(tmp_path / "a"), "size", 10_000, 0, 7)
    real_write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:3]))
        with pytest.raises(OSError, match="cut short"):
            file.write(b"torn line\n", 0.0)
    file.write(b"whole\n", 0.0)
    assert (tmp_path / "a.log").read_text() == "tor\nwhole\n"


def test_several_processes_lose_and_tear_no_line(tmp_path: Path) -> None:
    names = ("anna", "bert", "carl")
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a")]
    writers = [subprocess.Popen([*command, name, "400"]) for name in names]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number} {'x' * 40}" for name in names for number in range(400))
    assert len(list(tmp_path.iterdir())) > 1
