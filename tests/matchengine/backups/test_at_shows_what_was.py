"""`at`: the state after any record or at any time, from slices, journal and archive, as it was then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matchengine.at import Moment, parse_moment, state_at, time_text
from matchengine.at_view import lines_of
from matchengine.recorder.keep import prune
from tests.matchengine.backups.exchanges import shown_at, take, with_archive
from tests.matchengine.journal.journals import flip
from tests.matchengine.recorder_process.recording import SETTINGS
from tests.support.hand_worker import BEGIN_US, HandWorker
from vxnet.clock import ManualClock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit

SECOND_US = 1_000_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One deposit a second, three in a turn; then an order that rests, and one that trades with it."""
    directory = tmp_path / "data"
    with HandWorker(directory, SETTINGS, ManualClock(BEGIN_US)) as worker:
        for number in range(3):
            worker.clock.advance(SECOND_US)
            for user in (1, 2, 3):
                worker.hold(102, [user, "BTC", "deposit", number, "1", {}])
            worker.turn()
        worker.clock.advance(SECOND_US)
        worker.done(102, [2, "USD", "deposit", 9, "500", {}])
        worker.done(201, [1, "BTCUSD", 1, "2", "100", "0", "0", "t"])
        worker.clock.advance(SECOND_US)
        worker.done(201, [2, "BTCUSD", 2, "0.5", "100", "0", "0", "t"])
        worker.crash()
    return directory


def test_after_each_record(data: Path) -> None:
    """Also between the records of one frame."""
    totals = [shown_at(data, sequence)["assets"][0]["total"] for sequence in range(1, 12)]
    assert [float(total) for total in totals] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    rested = shown_at(data, 12, market="BTCUSD", user=1)
    assert rested["markets"][0]["best_ask"] == "100"
    assert [(order["id"], order["side"], order["left"]) for order in rested["user"]["orders"]] == [
        (1, "sell", "2")
    ]
    assert rested["depth"] == {"asks": [["100", "2"]], "bids": []}
    (btc,) = rested["user"]["balances"]
    assert (float(btc["available"]), float(btc["frozen"])) == (1.0, 2.0)
    traded = shown_at(data, 13, market="BTCUSD", user=2)
    assert (traded["deal_id"], traded["depth"]["asks"]) == (1, [["100", "1.5"]])
    assert [float(balance["available"]) for balance in traded["user"]["balances"]] == [3.5, 450.0]
    json.dumps(traded)
    text = "\n".join(lines_of(traded))
    assert "after sequence 13, 2023-11-14T22:13:25.000000Z" in text
    assert "open orders of user 2: none" in text


@pytest.mark.parametrize(
    ("seconds", "sequence"), [(0, 1), (0.999999, 1), (1, 4), (2.5, 7), (4, 12), (4.5, 12), (5, 13), (999, 13)]
)
def test_at_a_time(data: Path, seconds: float, sequence: int) -> None:
    time_us = BEGIN_US + int(seconds * SECOND_US)
    assert shown_at(data, time_us=time_us)["sequence"] == sequence


def test_while_the_engine_runs_and_of_a_backup(data: Path, tmp_path: Path) -> None:
    with HandWorker(data, SETTINGS, ManualClock(BEGIN_US + 10 * SECOND_US)) as worker:
        worker.done(102, [1, "BTC", "deposit", 77, "1", {}])
        end = worker.worker.position.sequence
        assert shown_at(data, end)["sequence"] == end > 13
    take(data, tmp_path / "backup")
    assert shown_at(tmp_path / "backup", 9) == shown_at(data, 9)


def test_every_slice_and_segment_leads_to_the_same(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with_archive(data)
    end = shown_at(data, time_us=BEGIN_US * 2 - 1)["sequence"]
    shown = {sequence: shown_at(data, sequence) for sequence in (2, end // 3, end // 2, end - 1, end)}
    slices = sorted((data / "slices").glob("*.slice"))
    assert shown[end]["from_slice"] == end
    flip(slices[-1], 300)
    found = state_at(Disk(), data, data / "journal", Moment(end, None), BEGIN_US * 2)
    assert "the one before is used" in found.warnings[0]
    for path in slices:
        path.unlink()
    for sequence, facts in shown.items():
        again = shown_at(data, sequence)
        assert again.pop("from_slice") == 0
        assert again == {name: value for name, value in facts.items() if name != "from_slice"}


def test_what_can_not_be_shown(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessExit, match=r"goes from 1 to 13"):
        shown_at(data, 0)
    with pytest.raises(ProcessExit, match=r"no sequence 1700000000: .*; the time is written @1700000000"):
        shown_at(data, 1_700_000_000)
    with pytest.raises(ProcessExit, match="before the first record"):
        shown_at(data, time_us=BEGIN_US - 1)
    with pytest.raises(ProcessExit, match="has not come yet"):
        shown_at(data, time_us=BEGIN_US * 3)
    with pytest.raises(ProcessExit, match="no market XY then; there were BTCUSD"):
        shown_at(data, 5, market="XY")


def test_what_was_pruned_or_lost_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with_archive(data)
    lost = sorted((data / "archive").glob("*.gz"))
    first = shown_at(data, 5)
    lost[0].rename(tmp_path / lost[0].name)
    with pytest.raises(
        ProcessExit, match=r"sequences 1 to \d+ are neither in .* put them back from a backup"
    ):
        shown_at(data, 5)
    (tmp_path / lost[0].name).rename(lost[0])
    assert shown_at(data, 5) == first
    prune(Disk(), data, data / "journal")
    with pytest.raises(
        ProcessExit, match=r"`vx prune` has removed sequences 1 to \d+; what can be shown begins"
    ):
        shown_at(data, 5)
    with pytest.raises(ProcessExit, match="not kept any more"):
        shown_at(data, time_us=BEGIN_US + 1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("17", Moment(17, None)),
        ("@1700000000", Moment(None, 1_700_000_000_000_000)),
        ("@1700000000.25", Moment(None, 1_700_000_000_250_000)),
        ("1700000000.000001", Moment(None, 1_700_000_000_000_001)),
        ("2023-11-14T22:13:20Z", Moment(None, 1_700_000_000_000_000)),
        ("2023-11-15T03:43:20.5+05:30", Moment(None, 1_700_000_000_500_000)),
    ],
)
def test_moments(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment
    if moment.time_us is not None:
        assert parse_moment(time_text(moment.time_us)) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2023-11-14T22:13:20", "@", "-5", "1e5", "2023-13-01T00:00Z"]
)
def test_words_that_are_no_moment(text: str) -> None:
    with pytest.raises(ProcessExit) as refusal:
        parse_moment(text)
    assert refusal.value.code == ExitCode.USAGE
