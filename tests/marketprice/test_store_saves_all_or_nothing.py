"""The market data file: what is saved comes back, a crash leaves one whole position, a bad file is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.core.trades import RECENT_MAX
from marketprice.messages import decode_deal
from marketprice.persistence import Position, Store, StoreDamaged, StoreRefused
from tests.marketprice.history import Trade, contents, markets_of, trades

LINES = """
1000000000 A 10.00 1.5 buy
1000000001 B 0.00000050 2 sell
1000000060 A 11.25 0.001 sell
1000003600 A 9 1 buy
"""


def load(path: Path, limits: dict[str, int] | None = None) -> tuple[Markets, Position]:
    with closing(Store(path, "UTC")) as store:
        return store.load(Calendar(UTC), limits or {})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    markets = markets_of(trades(LINES))
    with closing(Store(path, "UTC")) as store:
        assert store.save(markets, Position(3, 4, b"digest")) == 2
        assert store.save(markets, Position(3, 4, b"digest")) == 0
    found, position = load(path)
    assert contents(found) == contents(markets)
    assert position == Position(3, 4, b"digest")
    assert all(market.is_saved for market in found.by_name.values())


def test_going_on_after_a_restart_equals_going_on_without(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    made = trades(LINES)
    for count in range(len(made)):
        path.unlink(missing_ok=True)
        with closing(Store(path, "UTC")) as store:
            store.save(markets_of(made[:count]), Position(count - 1))
        found, position = load(path)
        for offset in range(position.offset + 1, len(made)):
            found.apply(decode_deal(made[offset].payload, offset))
        with closing(Store(path, "UTC")) as store:
            store.save(found, Position(len(made) - 1))
        assert contents(load(path)[0]) == contents(markets_of(made))


def test_a_new_file_has_nothing(tmp_path: Path) -> None:
    markets, position = load(tmp_path / "marketprice.db")
    assert (markets.by_name, position) == ({}, Position(-1))


def test_a_crash_leaves_the_position_before(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    made = trades(LINES)
    with closing(Store(path, "UTC")) as store:
        store.save(markets_of(made[:2]), Position(1))
    markets, _ = load(path)
    for offset in (2, 3):
        markets.apply(decode_deal(made[offset].payload, offset))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        # The last thing a save writes is refused: everything before it must be undone.
        other.execute("CREATE TRIGGER stop BEFORE INSERT ON position BEGIN SELECT RAISE(ABORT, 'no'); END")
        with closing(Store(path, "UTC")) as store, pytest.raises(StoreDamaged):
            store.save(markets, Position(3))
        other.execute("DROP TRIGGER stop")
    found, position = load(path)
    assert position == Position(1)
    assert contents(found) == contents(markets_of(made[:2]))
    with closing(Store(path, "UTC")) as store:
        store.save(markets, Position(3))  # nothing was forgotten by the failure
    assert contents(load(path)[0]) == contents(markets_of(made))


def test_only_the_newest_deals_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    made = [Trade(10**15, "M", "1", "1", 1, number) for number in range(1, RECENT_MAX + 2001)]
    markets = markets_of(made[:8000])
    with closing(Store(path, "UTC")) as store:
        store.save(markets, Position(7999))
        for offset in range(8000, len(made)):
            markets.apply(decode_deal(made[offset].payload, offset))
        store.save(markets, Position(len(made) - 1))
    with closing(sqlite3.connect(path)) as other:
        kept = other.execute("SELECT count(*), min(offset), max(offset) FROM deals").fetchone()
    assert kept == (RECENT_MAX, 2000, len(made) - 1)
    assert contents(load(path)[0]) == contents(markets)


def test_old_candles_are_dropped_and_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    markets = markets_of(trades(LINES))
    limits = {"1s": 1000000001, "1m": 1000000020, "1h": 1000003600}
    with closing(Store(path, "UTC")) as store:
        store.save(markets, Position(3))
    markets.drop_before(limits)
    assert contents(load(path, limits)[0]) == contents(markets)
    with closing(Store(path, "UTC")) as store:
        store.drop_before(markets, limits)
    assert contents(load(path)[0]) == contents(markets)


def test_another_time_zone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    Store(path, "UTC").close()
    with pytest.raises(StoreRefused, match="days of the time zone UTC, the settings say Asia/Tokyo"):
        Store(path, "Asia/Tokyo")


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    Store(path, "UTC").close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreRefused, match="has format 7"):
        Store(path, "UTC")


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    with closing(Store(path, "UTC")) as store:
        store.save(markets_of(trades(LINES)), Position(3))
    whole = path.read_bytes()
    for damaged in (b"nonsense" * 1000, whole[:8192] + bytes(4096) + whole[12288:]):
        path.write_bytes(damaged)
        with pytest.raises(StoreDamaged):
            load(path)


def test_an_unreadable_candle_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "marketprice.db"
    with closing(Store(path, "UTC")) as store:
        store.save(markets_of(trades(LINES)), Position(3))
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE candles SET value = 'x' WHERE market = 'A' AND period = '1d'")
        other.commit()
    with pytest.raises(StoreDamaged, match=r"candle 1d .* of A"):
        load(path)
