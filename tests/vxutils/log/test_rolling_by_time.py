"""One file per unit of local time, deleted `keep` units later."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vxutils.log_file import RollingFile, Shift

NOON_S = time.mktime((2024, 5, 15, 12, 0, 0, 0, 0, -1))

UNITS: list[tuple[Shift, float, str, str]] = [
    ("min", 60, "a.202405151200.log", "a.202405151201.log"),
    ("hour", 3600, "a.2024051512.log", "a.2024051513.log"),
    ("day", 86400, "a.20240515.log", "a.20240516.log"),
]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(("shift", "unit_s", "first", "second"), UNITS)
def test_each_unit_has_its_file(tmp_path: Path, shift: Shift, unit_s: float, first: str, second: str) -> None:
    file = RollingFile(str(tmp_path / "a"), shift, 1000, 0, 7)
    file.write(b"1\n", NOON_S)
    file.write(b"2\n", NOON_S + 59)
    file.write(b"3\n", NOON_S + unit_s)
    assert (tmp_path / first).read_bytes() == b"1\n2\n"
    assert (tmp_path / second).read_bytes() == b"3\n"


def test_a_full_file_is_numbered_within_its_unit(tmp_path: Path) -> None:
    file = RollingFile(str(tmp_path / "a"), "day", 3, 0, 7)
    file.write(b"1\n", NOON_S)
    file.write(b"2\n", NOON_S)
    assert names(tmp_path) == ["a.20240515.log", "a.20240515.log.1"]


def test_old_files_go_and_others_stay(tmp_path: Path) -> None:
    strangers = [
        "a.log",
        "a.2024051500.log",
        "a.x20240101.log",
        "b.20240101.log",
        "a.20240101.log.gz",
        "aX20240101.log",
    ]
    kept = ["a.20240514.log", "a.20240514.log.1"]
    for name in [*strangers, *kept, "a.20240513.log", "a.20240513.log.2", "a.20231231.log"]:
        (tmp_path / name).touch()
    RollingFile(str(tmp_path / "a"), "day", 1000, 0, 2).open(NOON_S)
    assert names(tmp_path) == sorted([*strangers, *kept, "a.20240515.log"])


def test_keep_zero_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.19990101.log").touch()
    RollingFile(str(tmp_path / "a"), "day", 1000, 0, 0).open(NOON_S)
    assert names(tmp_path) == ["a.19990101.log", "a.20240515.log"]
