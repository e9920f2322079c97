"""Candles made again from the history: all deals there are, read once from the beginning.

    history.db: deal_history --> Markets --> marketprice.db.new --renamed--> marketprice.db
    or MySQL                             '-> keys beside those of Redis --renamed--> these

Used when the market data file is damaged or lost, when the messages it would need are gone, or when the time
zone has changed. The result stands at the newest message of the topic, where the feed goes on; MySQL does not
know it, then the topic is read from its beginning, past the deals that are known. The caller holds the lock
of this process and has no open store.

Source: deal_history holds each deal twice, the taker's row has role 2 (protocol.md 4.5).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from marketprice.core import number
from marketprice.core.calendar import Calendar
from marketprice.core.kline import Retention
from marketprice.core.market import Markets
from marketprice.core.trades import Deal
from marketprice.deal_history import TAKER, DealHistory, HistoryAway
from marketprice.feed import position_of
from marketprice.messages import SELL, TOPIC, decode_deal
from marketprice.persistence import FILE_NAME, Position, Store
from marketprice.redis_persistence import RedisStore
from marketprice.texts import real
from vxnet.clock import Clock
from vxutils.store.embedded.history import HistoryUnavailable, check_kind
from vxutils.store.embedded.schema import HISTORY_FILE, Message

ROWS_PER_READ: Final = 10_000
PROGRESS_S: Final = 2.0
DEAL_ID_MAX: Final = 2**63 - 1

OpenDeals = Callable[[Markets], DealHistory]
"""Where deals can be had by number; prices get the decimals that their markets have."""

_log = logging.getLogger("vx.marketprice.rebuild")


class NoHistory(Exception):
    """There is nothing to make candles from; the text says what is missing."""


def rebuild(
    directory: Path,
    calendar: Calendar,
    zone: str,
    retention: Retention,
    clock: Clock,
    database: OpenDeals | None = None,
) -> Position:
    """Makes the market data file of the data directory again; where it stands. `database`: instead of the
    history in the directory.

    On failure the old file, if there is one, stays as it was. Raises: NoHistory; sqlite3.Error.
    """
    fresh = directory / f"{FILE_NAME}.new"
    remove(fresh)
    markets = Markets(calendar)
    position = _read(directory, database, markets, retention, clock)
    with closing(Store(fresh, zone)) as store:
        store.save(markets, position)
    remove(directory / FILE_NAME)
    fresh.rename(directory / FILE_NAME)
    return position


def rebuild_redis(
    store: RedisStore,
    directory: Path,
    calendar: Calendar,
    retention: Retention,
    clock: Clock,
    database: OpenDeals | None = None,
) -> tuple[Markets, Position]:
    """Makes the market data in a Redis again from the history of the data directory, or from `database`;
    where they stand.

    On failure what is there stays as it was. Raises: NoHistory; sqlite3.Error; RedisError.
    """
    markets = Markets(calendar)
    position = _read(directory, database, markets, retention, clock)
    store.replace(markets, position)
    return markets, position


def remove(path: Path) -> None:
    """Deletes an SQLite file with what stands beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _read(
    directory: Path, database: OpenDeals | None, markets: Markets, retention: Retention, clock: Clock
) -> Position:
    if database is None:
        return read_history(directory / HISTORY_FILE, markets, retention, clock)
    with closing(database(markets)) as deals:
        try:
            return read_pages(deals, markets, retention, clock)
        except HistoryAway as error:
            raise NoHistory(str(error)) from error


def read_pages(deals: DealHistory, markets: Markets, retention: Retention, clock: Clock) -> Position:
    """Takes all deals that can be had by number into `markets`; a position before the first message.

    Raises: HistoryAway.
    """
    first, count = 1, 0
    said_at = time.monotonic()
    while first < DEAL_ID_MAX:
        page = deals.page(first, DEAL_ID_MAX)
        for deal_id, text in page.deals:
            markets.apply(decode_deal(text, deal_id))
        first, count = page.next_id, count + len(page.deals)
        markets.drop_before(retention.limits(clock.wall_us() // 1_000_000))
        if time.monotonic() - said_at > PROGRESS_S:
            said_at = time.monotonic()
            _log.info("rebuild: %d deals, up to number %d", count, first - 1)
    _log.info("rebuild: %d deals", count)
    return Position()


def read_history(path: Path, markets: Markets, retention: Retention, clock: Clock) -> Position:
    """Takes all deals of the history into `markets`; the position that they reach.

    Raises: NoHistory; sqlite3.Error.
    """
    if not path.exists():
        raise NoHistory(f"{path} does not exist: there is no history to make candles from")
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    ) as connection:
        try:
            check_kind(connection, path)
        except HistoryUnavailable as error:
            raise NoHistory(str(error)) from None
        newest_id, position = _newest(connection)
        count = 0
        said_at = time.monotonic()
        for row in _rows(connection, newest_id):
            markets.apply(_deal(row, count))
            count += 1
            if count % ROWS_PER_READ == 0:
                # All of the time there ever was in seconds would not fit into memory.
                markets.drop_before(retention.limits(clock.wall_us() // 1_000_000))
                if time.monotonic() - said_at > PROGRESS_S:
                    said_at = time.monotonic()
                    _log.info("rebuild: %d deals, row %d of %d", count, row[0], newest_id)
    if position.offset != count - 1:
        _log.warning(
            "rebuild: %d deals, but the topic %s ends with message %d", count, TOPIC, position.offset
        )
        _renumber(markets, position.offset - (count - 1))
    _log.info("rebuild: %d deals", count)
    return position


def _newest(connection: sqlite3.Connection) -> tuple[int, Position]:
    """The last row and the position behind the last message, as of the same moment."""
    connection.execute("BEGIN")
    newest_id = connection.execute("SELECT max(id) FROM deal_history").fetchone()[0] or 0
    topic = connection.execute("SELECT next_offset FROM topics WHERE name = ?", (TOPIC,)).fetchone()
    message = connection.execute(
        "SELECT offset, sequence, idx, payload FROM messages WHERE topic = ? ORDER BY offset DESC LIMIT 1",
        (TOPIC,),
    ).fetchone()
    connection.execute("ROLLBACK")
    if message is not None:
        return newest_id, position_of(Message(*message))
    return newest_id, Position(topic[0] - 1 if topic is not None else -1)


def _rows(connection: sqlite3.Connection, newest_id: int) -> Iterator[tuple[Any, ...]]:
    """The takers' rows in order. Short reads, so that the recorder's log file can shrink meanwhile."""
    after = 0
    while after < newest_id:
        end = after + ROWS_PER_READ
        yield from connection.execute(
            "SELECT id, time_us, deal_id, market, price, amount, side FROM deal_history "
            "WHERE id > ? AND id <= ? AND role = ? ORDER BY id",
            (after, min(end, newest_id), TAKER),
        ).fetchall()
        after = end


def _deal(row: tuple[Any, ...], offset: int) -> Deal:
    row_id, time_us, deal_id, market, price_text, amount_text, side = row
    price, amount = number.parse(price_text), number.parse(amount_text)
    if price is None or amount is None:
        raise sqlite3.DatabaseError(f"deal_history {row_id}: price {price_text!r}, amount {amount_text!r}")
    text = real(time_us / 1_000_000)
    return Deal(offset, deal_id, market, time_us, text, *price, *amount, side == SELL)


def _renumber(markets: Markets, shift: int) -> None:
    """Moves the offsets of what is kept, so that those of later deals stay above them."""
    for market in markets.by_name.values():
        for deal in market.recent.newest_first:
            deal.offset += shift
