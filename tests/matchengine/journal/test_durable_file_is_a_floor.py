"""The file DURABLE: kept over restarts, unreadable is unknown, foreign and newer are refused."""

from __future__ import annotations

import os
import signal
import zlib
from pathlib import Path

import pytest

from matchengine.journal.durable import create_journal, follow_durable, own_durable, read_durable
from matchengine.journal.format import JournalForeign, JournalNewer
from tests.matchengine.journal.journals import SYSTEM_ID, append, open_writer, read_all, recover
from vxutils.disk import Disk


def test_it_survives_kill_9(tmp_path: Path) -> None:
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        writer = open_writer(tmp_path / "j")
        append(writer, count=3)
        os.write(tell, b"x")
        signal.pause()
    assert os.read(ready, 1) == b"x"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    assert read_durable(Disk(), tmp_path / "j", SYSTEM_ID) == 3
    assert read_all(tmp_path / "j")[0] == [1, 2, 3]


def test_a_follower_keeps_its_mapping_over_a_restart(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "j")
    append(writer)
    cell = follow_durable(Disk(), tmp_path / "j")
    writer.close(clean=False)
    _, writer = recover(tmp_path / "j", epoch=2)
    append(writer)
    assert (cell.sequence, cell.epoch) == (2, 2)
    writer.close()
    cell.close()


@pytest.mark.parametrize("size", [0, 10, 63, 65])
def test_an_unreadable_file_is_no_floor_but_no_journal_either(tmp_path: Path, size: int) -> None:
    create_journal(Disk(), tmp_path, SYSTEM_ID)
    path = tmp_path / "DURABLE"
    path.write_bytes((path.read_bytes() + b"more")[:size])
    if size <= 64:
        assert read_durable(Disk(), tmp_path, SYSTEM_ID) is None


def test_flipped_bits_in_its_head_make_it_unknown(tmp_path: Path) -> None:
    create_journal(Disk(), tmp_path, SYSTEM_ID)
    path = tmp_path / "DURABLE"
    whole = path.read_bytes()
    for offset in [*range(32), *range(60, 64)]:
        data = bytearray(whole)
        data[offset] ^= 4
        path.write_bytes(data)
        assert read_durable(Disk(), tmp_path, SYSTEM_ID) is None


def test_foreign_and_newer(tmp_path: Path) -> None:
    create_journal(Disk(), tmp_path, SYSTEM_ID)
    with pytest.raises(JournalForeign):
        read_durable(Disk(), tmp_path, b"\xee" * 16)
    with pytest.raises(JournalForeign):
        own_durable(Disk(), tmp_path, b"\xee" * 16, 1, 0)
    data = bytearray((tmp_path / "DURABLE").read_bytes())
    data[8] = 2
    data[60:] = zlib.crc32(data[:32]).to_bytes(4, "little")
    (tmp_path / "DURABLE").write_bytes(data)
    with pytest.raises(JournalNewer):
        read_durable(Disk(), tmp_path, SYSTEM_ID)
