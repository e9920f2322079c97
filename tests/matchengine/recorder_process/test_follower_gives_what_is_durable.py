"""Each durable frame once, in order, however the journal grows meanwhile; nothing that is not durable."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from matchengine.journal import format as layout
from tests.matchengine.journal.journals import append, open_writer, recover, segments_of
from tests.matchengine.recorder_process.following import Following


def test_an_empty_journal_has_nothing_yet(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with Following(tmp_path) as following:
        following.wait_in_vain(100.0)
        append(writer)
        assert following.poll() == [1]
        following.wait_in_vain(100.0)
    writer.close()


def test_a_journal_that_is_made_later(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    directory.mkdir()
    with Following(directory) as following:
        following.wait_in_vain(100.0)
        writer = open_writer(directory)
        append(writer)
        assert following.poll() == []
        following.follower.refresh()
        assert following.poll() == [1]
        writer.close()


def test_each_frame_as_it_comes_over_many_segments(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with Following(tmp_path) as following:
        for number in range(400):
            append(writer, count=1 + number % 3, size=300)
            assert following.poll()[-1] == writer.last_sequence
            assert following.follower.sequence == writer.last_sequence
        assert following.follower.segment_number == len(segments_of(tmp_path)) > 5
    writer.close()


def test_a_backlog_in_pieces(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for _ in range(300):
        append(writer, size=400)
    with Following(tmp_path) as following:
        pieces = []
        while len(following.sequences) < 300:
            pieces.append(len(following.poll(2_000)))
        assert set(pieces[:-1]) <= {4, 5}
        assert following.sequences == list(range(1, 301))
    writer.close()


def test_what_is_written_but_not_synced_is_not_given(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, durability="interval")
    with Following(tmp_path) as following:
        append(writer, sync=False)
        append(writer, sync=False)
        following.wait_in_vain(100.0)
        writer.sync()
        append(writer, sync=False)
        assert following.poll() == [1, 2]
        following.wait_in_vain(100.0)
    writer.close()


@pytest.mark.parametrize("wanted", [1, 2, 7, 8, 150, 200, 201])
def test_from_the_middle(tmp_path: Path, wanted: int) -> None:
    """The frame that holds the wanted record comes first."""
    writer = open_writer(tmp_path)
    for _ in range(100):
        append(writer, count=2, size=500)
    with Following(tmp_path, from_sequence=wanted) as following:
        assert following.follower.sequence == wanted - 1
        following.poll()
        assert following.sequences == list(range(wanted - (wanted + 1) % 2, 201))
        append(writer, size=500)
        assert following.poll() == [201]
    writer.close()


@pytest.mark.parametrize("clean", [True, False])
def test_the_engine_starts_again_and_again(tmp_path: Path, clean: bool) -> None:
    """A clean stop cuts the segment, a kill has the next start replace it; the epoch goes up."""
    writer = open_writer(tmp_path)
    chance = random.Random(7)
    expected: list[int] = []
    with Following(tmp_path) as following:
        for epoch in range(2, 12):
            for _ in range(chance.randrange(60)):
                append(writer, size=300)
                if chance.random() < 0.3:
                    following.poll()
            expected = list(range(1, writer.last_sequence + 1))
            writer.close(clean=clean)
            if chance.random() < 0.5:
                following.poll()
            _, writer = recover(tmp_path, epoch)
            following.poll()
            assert following.sequences == expected
    writer.close()


def test_a_torn_frame_is_waited_for_and_then_replaced(tmp_path: Path) -> None:
    """Written in part when the engine was killed: never durable, never given, and what comes then is."""
    writer = open_writer(tmp_path)
    for _ in range(3):
        append(writer)
    path = writer.path
    writer.close(clean=False)
    with path.open("r+b") as file:
        data = file.read()
        offset = len(data.rstrip(b"\0")) + 7 & ~7
        file.seek(offset)
        file.write(layout.FRAME_MAGIC + b"\xa5" * 90)
    with Following(tmp_path) as following:
        assert following.poll() == [1, 2, 3]
        following.wait_in_vain(100.0)
        _, writer = recover(tmp_path, 2)
        following.wait_in_vain(100.0)
        append(writer)
        assert following.poll() == [4]
    writer.close()


def test_a_floor_that_durable_does_not_know(tmp_path: Path) -> None:
    """After a loss of power the cell is too low until the engine has started."""
    writer = open_writer(tmp_path)
    for _ in range(10):
        append(writer)
    writer._durable.sequence = 4
    with Following(tmp_path, floor=7) as following:
        assert following.poll() == [1, 2, 3, 4, 5, 6, 7]
        writer._durable.sequence = 10
        assert following.poll() == [8, 9, 10]
    writer.close()
