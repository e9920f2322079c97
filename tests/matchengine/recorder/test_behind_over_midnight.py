"""A recorder that is two hours behind, over midnight and over both changes of the clocks.

It derives when it gets to it, but what it derives is of the time of the records: rows, messages, and the
candles made of them fall where they would have fallen without a lag.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.candle import DAY, HOUR, MINUTE
from marketprice.core.market import Markets
from marketprice.messages import decode_deal
from tests.marketprice.history import contents
from tests.matchengine.recorder_process.recording import SETTINGS, content, history_of, record_all
from tests.support.hand_worker import HandWorker, audit
from vxnet.clock import ManualClock
from vxutils.store.embedded.history import HistoryReader

BERLIN = ZoneInfo("Europe/Berlin")
MARKET = "BTCUSD"
SECOND_US = 1_000_000

# Local time of each deal (`!`: the second one of a repeated hour), whether the recorder looks after it.
SPRING = """\
2026-03-28T21:59:59
2026-03-28T23:00:01 recorded
2026-03-28T23:59:59
2026-03-29T00:00:00
2026-03-29T01:59:59
2026-03-29T03:00:00
2026-03-29T23:59:59 recorded
2026-03-30T00:00:00
"""
AUTUMN = """\
2026-10-24T22:30:30 recorded
2026-10-24T23:59:59
2026-10-25T00:00:00
2026-10-25T02:30:00
2026-10-25T02:30:00!
2026-10-25T03:00:00 recorded
2026-10-25T23:59:59
2026-10-26T00:00:00
"""
# Local day and number of deals; local hours (with their offset from UTC) that have candles.
DAYS = {
    SPRING: {"2026-03-28": 3, "2026-03-29": 4, "2026-03-30": 1},
    AUTUMN: {"2026-10-24": 2, "2026-10-25": 5, "2026-10-26": 1},
}
HOURS = {
    SPRING: {"28 21+01", "28 23+01", "29 00+01", "29 01+01", "29 03+02", "29 23+02", "30 00+02"},
    AUTUMN: {
        "24 22+02",
        "24 23+02",
        "25 00+02",
        "25 02+02",
        "25 02+01",
        "25 03+01",
        "25 23+01",
        "26 00+01",
    },
}


def moments(lines: str) -> list[tuple[int, bool]]:
    """(microseconds, whether the recorder looks then) of each line."""
    found = []
    for line in lines.splitlines():
        text, _, then = line.partition(" ")
        local = datetime.fromisoformat(text.rstrip("!")).replace(tzinfo=BERLIN, fold=int("!" in text))
        found.append((int(local.timestamp()) * SECOND_US, bool(then)))
    return found


def markets_of(data: Path) -> Markets:
    """The market data that follow from the messages of the history."""
    markets = Markets(Calendar(BERLIN))
    with closing(HistoryReader(history_of(data))) as reader:
        for message in reader.messages("deals", 0, 1000):
            markets.apply(decode_deal(message.payload, message.offset))
    return markets


@pytest.mark.parametrize("lines", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_rows_and_candles_are_of_the_time_of_the_records(tmp_path: Path, lines: str) -> None:
    """It stops before midnight, the exchange goes on, and it catches up from a slice hours later."""
    data, prompt = tmp_path / "data", tmp_path / "prompt.db"
    deals = moments(lines)
    clock = ManualClock(deals[0][0] - SECOND_US)
    with HandWorker(data, SETTINGS, clock) as worker:
        worker.done(102, [1, "BTC", "deposit", 1, "100", {}])
        worker.done(102, [2, "USD", "deposit", 1, "9999", {}])
        for number, (time_us, is_recorded) in enumerate(deals):
            clock.advance(time_us - clock.wall_us())
            worker.done(201, [1, MARKET, 1, "1", f"{100 + number}", "0", "0", "t"])
            worker.done(201, [2, MARKET, 2, "1", f"{100 + number}", "0", "0", "t"])
            record_all(data, prompt)
            if is_recorded:
                record_all(data, history_of(data))
        clock.advance(2 * 3_600 * SECOND_US)
        record_all(data, history_of(data))
    assert audit(data).last_deal_id == len(deals)

    found = content(history_of(data))
    assert found == content(prompt), "a lag changes nothing"
    with closing(HistoryReader(history_of(data))) as reader:
        rows = reader.user_deals(2, MARKET, 0, 100)
        assert [row.time_us for row in reversed(rows)] == [time_us for time_us, _ in deals]
        assert reader.position().time_us == deals[-1][0]
        first_day, *later_days = DAYS[lines]
        day = int(datetime.fromisoformat(later_days[0]).replace(tzinfo=BERLIN).timestamp())
        orders = reader.finished_orders(1, MARKET, day * SECOND_US, 0, 0, 0, 100)
        assert len(orders) == len(deals) - DAYS[lines][first_day]

    markets = markets_of(data)
    series = markets.by_name[MARKET].series
    days = {
        f"{datetime.fromtimestamp(start, BERLIN):%Y-%m-%d}": candle
        for start, candle in series[DAY].by_start.items()
        if candle.volume
    }
    assert {day: round(candle.volume / 10**candle.amount_scale) for day, candle in days.items()} == DAYS[
        lines
    ]
    hours = [
        f"{datetime.fromtimestamp(start, BERLIN):%d %H%z}"[:-2]
        for start, candle in series[HOUR].by_start.items()
        if candle.volume
    ]
    assert set(hours) == HOURS[lines]
    assert len(hours) == len(HOURS[lines])
    minutes = {start for start, candle in series[MINUTE].by_start.items() if candle.volume}
    assert minutes == {time_us // SECOND_US // 60 * 60 for time_us, _ in deals}
    assert contents(markets)
