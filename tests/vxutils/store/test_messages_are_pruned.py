"""Messages go when they are old and everybody has taken them; offsets never come again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vxutils.store.histories import batch_of, make_history, time_of
from vxutils.disk import Disk
from vxutils.store.embedded import writer as module
from vxutils.store.embedded.consumers import CONSUMERS_DIRECTORY, publish_consumer, read_consumers
from vxutils.store.embedded.history import HistoryReader

LATER_US = time_of(10**6)


@pytest.mark.parametrize(
    ("deals_wanted", "older_than_us", "first_left"),
    [
        (None, LATER_US, 100),  # nobody wants any
        (None, time_of(31), 30),  # age alone: record 31 is message 30
        (None, 0, 0),
        ([70], LATER_US, 70),
        ([70, 20], LATER_US, 20),
        ([70], time_of(31), 30),
        ([0], LATER_US, 0),
    ],
)
def test_by_age_and_by_the_last_consumer(
    tmp_path: Path, deals_wanted: list[int] | None, older_than_us: int, first_left: int
) -> None:
    path = tmp_path / "history.db"
    writer = make_history(path, 100)
    for number, offset in enumerate(deals_wanted or ()):
        publish_consumer(Disk(), tmp_path, f"consumer{number}", {"deals": offset})
    writer.copy_consumers(read_consumers(Disk(), tmp_path))
    writer.prune_messages(older_than_us)
    reader = HistoryReader(path)
    assert [message.offset for message in reader.messages("deals", 0, 999)] == list(range(first_left, 100))
    writer.append(batch_of(100, 102))
    assert [message.offset for message in reader.messages("deals", 99, 999)][-2:] == [100, 101]
    assert reader.next_offset("deals") == 102


def test_in_bounded_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRUNE_ROWS_MAX", 40)
    writer = make_history(tmp_path / "history.db", 100)
    counts: list[int] = []
    while counts[-1:] != [0]:
        counts.append(writer.prune_messages(LATER_US))
    assert sum(counts) == 150
    assert max(counts) == 40


def test_a_base_after_pruning(tmp_path: Path) -> None:
    writer = make_history(tmp_path / "history.db", 100)
    writer.prune_messages(LATER_US)
    assert HistoryReader(tmp_path / "history.db").base_at(100).offsets["deals"] == 100


def test_a_consumers_file_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    assert read_consumers(Disk(), tmp_path) == {}
    publish_consumer(Disk(), tmp_path, "marketprice", {"deals": 5})
    assert read_consumers(Disk(), tmp_path) == {"marketprice": {"deals": 5}}
    for text in ("", "{", "[]", '{"deals": -1}', '{"deals": "5"}'):
        (tmp_path / CONSUMERS_DIRECTORY / "other.json").write_text(text)
        with pytest.raises(ValueError, match="no position of a consumer"):
            read_consumers(Disk(), tmp_path)
