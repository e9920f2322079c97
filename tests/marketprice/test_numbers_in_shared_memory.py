"""What is in shared memory is what a reply says: never older, the same text, and in nobody's way."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketprice import tickers_ring
from marketprice.core.calendar import Calendar
from marketprice.core.kline import Retention
from marketprice.core.market import Markets
from marketprice.core.trades import Deal
from marketprice.messages import decode_deal
from marketprice.persistence import Position
from marketprice.requests import Requests
from marketprice.tickers_ring import FLUSH_US, RETRY_US, TickerRings
from marketprice.views import Views
from tests.marketprice.history import SYSTEM_ID, Trade
from tests.support.ring_leftovers import remove_rings
from vxnet.clock import ManualClock
from vxnet.loop import new_event_loop
from vxutils.protocol.commands import (
    MARKET_DEALS,
    MARKET_KLINE,
    MARKET_LAST,
    MARKET_STATUS,
    MARKET_STATUS_TODAY,
)
from vxutils.protocol.ticker import TickerSnapshot, decode_ticker
from vxutils.ring.segment import SHM_DIRECTORY, ring_name
from vxutils.ring.snapshot import SnapshotReader
from vxutils.zone import open_zone

BEGIN_US = 1_791_034_200_000_000
DAY_S = 86_400
QUESTIONS = (
    (MARKET_LAST,),
    (MARKET_STATUS, DAY_S),
    (MARKET_STATUS, 60),
    (MARKET_STATUS_TODAY,),
    (MARKET_DEALS, 10, 0),
    (MARKET_KLINE, 10**9, 2 * 10**9, DAY_S),
)


class Exchange:
    """The state, its questions and its rings; time stands still."""

    def __init__(self, directory: Path, style: str = "plain", sec_max: int = 604_800) -> None:
        (directory / "SYSTEM").write_text(json.dumps({"system_id": SYSTEM_ID.hex()}))
        self.directory = directory
        self.clock = ManualClock(wall_us=BEGIN_US, monotonic_us=5_000_000)
        self.markets = Markets(Calendar(open_zone("Asia/Kolkata")))
        self.loop = new_event_loop()
        self.count = 0
        views = Views(style, 10**6)
        self.tickers = TickerRings(
            self.loop,
            directory,
            self.markets,
            Position(),
            views,
            style,
            self.clock,
            has_status=sec_max >= DAY_S,
        )
        self.requests = Requests(
            self.markets,
            views,
            Retention(sec_max, 525_600, 87_600),
            self.clock,
            buckets_max=100_000,
            cache_timeout_us=0,
            before=self.tickers.asked,
        )

    def file(self, market: str) -> Path:
        return SHM_DIRECTORY / ring_name(SYSTEM_ID, self.directory, f"ticker.{market}")[1:]

    def read(self, market: str) -> TickerSnapshot | None:
        reader = SnapshotReader("/" + self.file(market).name, now=self.clock.monotonic_us)
        snapshot = reader.read()
        reader.close()
        return None if snapshot is None else decode_ticker(snapshot.payload)

    def trade(self, market: str, price: str, amount: str = "1") -> Deal:
        self.count += 1
        made = Trade(self.clock.wall_us() + self.count, market, price, amount, 1, self.count)
        deal = decode_deal(made.payload, self.count)
        self.markets.apply(deal)
        return deal

    def took(self, *deals: Deal) -> None:
        self.tickers.took(list(deals), Position(self.count, self.count * 10))

    def reply(self, command: int, *params: Any) -> str:
        answer = self.requests.answer(command, list(params), b"")
        assert isinstance(answer, str)
        return answer

    def replies(self, market: str) -> tuple[str, str, str]:
        return (
            self.reply(MARKET_LAST, market),
            self.reply(MARKET_STATUS, market, DAY_S),
            self.reply(MARKET_STATUS_TODAY, market),
        )


@pytest.fixture(params=["plain", "viabtc"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path, request.param)
    yield made
    made.tickers.close()
    made.loop.close()
    remove_rings(tmp_path)


def texts(ticker: TickerSnapshot | None) -> tuple[str, str, str]:
    assert ticker is not None
    return ticker.last, ticker.status, ticker.today


def test_all_markets_are_there_from_the_start(exchange: Exchange) -> None:
    exchange.markets.know("NEW")
    exchange.trade("M", "10.50")
    exchange.tickers.open()
    for market in ("NEW", "M"):
        ticker = exchange.read(market)
        assert texts(ticker) == exchange.replies(market)
        assert ticker is not None
        assert ticker.market == market
    exchange.markets.know("LATER")
    exchange.tickers.beat()
    exchange.tickers.flush()
    assert texts(exchange.read("LATER")) == exchange.replies("LATER")
    exchange.tickers.close()
    assert exchange.read("M") is None
    assert not exchange.file("M").exists()


@pytest.mark.parametrize("seed", range(2))
def test_never_older_than_a_reply_and_the_same_text(exchange: Exchange, seed: int) -> None:
    rng = random.Random(seed)
    exchange.markets.know("M")
    exchange.tickers.open()
    for _ in range(600):
        exchange.clock.advance(rng.choice((10_000, 500_000, 1_000_000, 60_000_000, 2_000_000_000)))
        if rng.random() < 0.5:
            prices = [f"{rng.randint(1, 20)}.{rng.randint(0, 9)}" for _ in range(rng.randint(1, 3))]
            exchange.took(*[exchange.trade("M", price) for price in prices])
        # Whatever is asked, all that the ring says is of that moment afterwards.
        now_s = exchange.clock.wall_us() // 1_000_000
        command, *params = rng.choice(QUESTIONS)
        exchange.reply(command, "M", *params)
        exchange.tickers.beat()
        found = exchange.read("M")
        assert found is not None
        assert found.good_until_s >= now_s
        assert texts(found) == exchange.replies("M"), (seed, now_s)


def test_a_flush_publishes_what_has_traded_and_what_has_slid(exchange: Exchange) -> None:
    exchange.markets.know("QUIET")
    exchange.took(exchange.trade("M", "10"))
    exchange.tickers.open()
    first = exchange.read("M")
    exchange.took(exchange.trade("M", "11"))
    assert exchange.read("M") == first
    exchange.tickers.flush()
    second = exchange.read("M")
    assert second is not None
    assert (second.offset, second.last) == (2, exchange.reply(MARKET_LAST, "M"))
    # A day later the deals leave the window, and nobody has to ask.
    seen = set()
    exchange.clock.advance((DAY_S - 3) * 1_000_000)
    for _ in range(10):
        exchange.clock.advance(1_000_000)
        exchange.tickers.flush()
        exchange.tickers.beat()
        ticker = exchange.read("M")
        assert ticker is not None
        assert ticker.good_until_s >= exchange.clock.wall_us() // 1_000_000
        seen.add(ticker.status)
    assert len(seen) == 2
    assert texts(exchange.read("M")) == exchange.replies("M")


def test_a_flush_is_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"M{number}" for number in range(20)]
    exchange.took(*[exchange.trade(name, "10") for name in names])
    exchange.tickers.open()
    exchange.took(*[exchange.trade(name, "11") for name in names])
    publish = exchange.tickers._publish

    def slow(ticker: Any, now_s: int) -> None:
        publish(ticker, now_s)
        exchange.clock.advance(FLUSH_US // 4)

    monkeypatch.setattr(exchange.tickers, "_publish", slow)
    shown = exchange.reply(MARKET_LAST, "M0")
    counts = []
    for _ in range(8):
        now = [ticker for name in names if (ticker := exchange.read(name)) and ticker.last == shown]
        counts.append(len(now))
        exchange.tickers.flush()
    assert counts == [1, 5, 9, 13, 17, 20, 20, 20]


def test_a_ring_that_is_taken_away_comes_back(exchange: Exchange) -> None:
    exchange.took(exchange.trade("M", "10"))
    exchange.tickers.open()
    exchange.file("M").unlink()
    exchange.tickers.beat()
    assert texts(exchange.read("M")) == exchange.replies("M")


def test_a_ring_that_can_not_be_made_is_done_without(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.took(exchange.trade("M", "10"), exchange.trade("N", "10"))
    exchange.file("M").mkdir()
    try:
        exchange.tickers.open()
        assert (exchange.tickers.opened, exchange.tickers.failed) == (1, 1)
        assert [record.levelname for record in caplog.records] == ["CRITICAL"]
        assert exchange.replies("M")[0] == exchange.read("N").last  # type: ignore[union-attr]
        exchange.took(exchange.trade("M", "11"))
        exchange.tickers.flush()
        exchange.clock.advance(RETRY_US)
        exchange.tickers.beat()
        assert len(caplog.records) == 1, "said once"
    finally:
        exchange.file("M").rmdir()
    exchange.clock.advance(RETRY_US)
    exchange.tickers.beat()
    exchange.tickers.flush()
    assert texts(exchange.read("M")) == exchange.replies("M")
    assert exchange.tickers.failed == 0


def test_numbers_too_large_are_asked_for_elsewhere(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickers_ring, "SLOT_BYTES", 400)
    huge = "9" * 25 + "." + "1" * 30
    exchange.took(exchange.trade("M", huge, huge), exchange.trade("N", "1"))
    exchange.tickers.open()
    assert exchange.read("M") is None
    assert exchange.tickers.too_large == 1
    assert texts(exchange.read("N")) == exchange.replies("N")


def test_a_clock_that_is_set_back(exchange: Exchange) -> None:
    exchange.took(exchange.trade("M", "10"))
    exchange.clock.advance(DAY_S * 1_000_000)
    exchange.tickers.open()
    exchange.clock.step_wall(-3_600_000_000)
    exchange.tickers.flush()
    assert texts(exchange.read("M")) == exchange.replies("M")


def test_without_a_day_of_seconds_there_is_no_status(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, sec_max=3_600)
    exchange.took(exchange.trade("M", "10"))
    exchange.tickers.open()
    ticker = exchange.read("M")
    assert ticker is not None
    assert ticker.status == ""
    exchange.tickers.close()
    exchange.loop.close()


def test_an_exchange_that_comes_later(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    text = (tmp_path / "SYSTEM").read_text()
    (tmp_path / "SYSTEM").unlink()
    exchange.took(exchange.trade("M", "10"))
    exchange.tickers.open()
    assert exchange.read("M") is None
    (tmp_path / "SYSTEM").write_text(text)
    exchange.tickers.beat()
    exchange.tickers.flush()
    assert texts(exchange.read("M")) == exchange.replies("M")
    exchange.tickers.close()
    exchange.loop.close()
