"""Slices in the log database, as the C system writes them, so that it could start from them.

    slice of ours --> slice_order_<T>, slice_balance_<T>, at last the row in slice_history; old ones go

T is the time of the slice's last record in seconds, or somewhat earlier where a C loader would otherwise miss
a day (`loader_days`). Written by a short-lived process, and only when the operation log in the database has
come at least as far. Decimals past those of a column are rounded by the server, as they are for the C system.
Source: protocol.md 4.3.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from typing import Final

import msgspec

from matchengine import recovery, slices
from matchengine.core.engine import Engine
from matchengine.core.market import Market
from matchengine.core.order import ASK, Order
from matchengine.recorder.loader_days import slice_time
from vxutils.disk import Disk
from vxutils.fixed import raw
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlForeign
from vxutils.store.mysql.position import ZONE, read_about, read_position
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.zone import open_zone

ROWS_MAX: Final = 1_000  # of one statement
WAIT_S: Final = 120.0  # for the operation log to come as far as the slice
POLL_S: Final = 0.2
RETRY_S: Final = 60.0
AVAILABLE: Final = 1
FROZEN: Final = 2

Row = tuple[object, ...]


class SliceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that writes a slice is told, on its standard input: where to, how often, how long."""

    log: MysqlSettings
    interval_s: int
    keep_s: int


class SliceClock:
    """Decides when to ask for a slice: once after a start, when an interval of journal time ends, and again
    RETRY_S after a failure. `interval_s` 0: never."""

    def __init__(self, interval_s: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval_us = interval_s * 1_000_000
        self._monotonic = monotonic
        self._asked: int | None = None
        self._failures = 0
        self._retry_at = 0.0

    def is_due(self, time_us: int, failures: int) -> bool:
        """Whether at this journal time a slice should be asked for. `failures`: of the helper so far."""
        if not self._interval_us:
            return False
        if failures != self._failures:
            self._failures = failures
            self._asked = None
            self._retry_at = self._monotonic() + RETRY_S
        return self._asked != time_us // self._interval_us and self._monotonic() >= self._retry_at

    def asked(self, time_us: int) -> None:
        """A slice was asked for at this journal time."""
        self._asked = time_us // self._interval_us


def put_slice(disk: Disk, good: slices.Slice, order: SliceOrder) -> bool:
    """Writes a slice of ours into the database, unless there is one of its interval; whether it did.

    Raises: MysqlForeign, MysqlError, SliceError; TimeoutError while the operation log is too far behind.
    """
    header = good.header
    time_s = header.time_us // 1_000_000
    log = Database(order.log)
    try:
        newest = log.rows("SELECT time FROM slice_history ORDER BY id DESC LIMIT 1")
        if newest and newest[0][0] // order.interval_s >= time_s // order.interval_s:
            return False
        _wait_for(log, header)
        engine, _ = recovery.load_slice(disk, good)
        named_s = slice_time(time_s, _zone(log), _times(log))
        put_tables(log, engine, named_s)
        register(log, engine, named_s, header.operation_id)
        _clean(log, named_s - order.keep_s)
        return True
    finally:
        log.close()


def _zone(log: Database) -> tzinfo:
    """Whose days the tables of the operation log are."""
    name = read_about(log, ZONE)
    if name is None:
        raise MysqlForeign(f"{log} does not say whose days its tables are")
    return open_zone(name)


def _times(log: Database) -> set[int]:
    return {int(time_s) for (time_s,) in log.rows("SELECT time FROM slice_history")}


def _wait_for(log: Database, header: slices.SliceHeader, sleep: Callable[[float], None] = time.sleep) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        stored = read_position(log, "log")
        if stored is None or stored.system_id != header.system_id.hex():
            raise MysqlForeign(f"{log} is not the database of this system")
        if stored.position.sequence >= header.sequence:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{log} has come to sequence {stored.position.sequence}, the slice is of {header.sequence}"
            )
        sleep(POLL_S)


def put_tables(log: Database, engine: Engine, time_s: int) -> None:
    """The tables of a slice, which nobody looks at until it is registered. Raises: MysqlError."""
    for table, example, rows in (
        (f"slice_order_{time_s}", "slice_order_example", _order_rows(engine)),
        (f"slice_balance_{time_s}", "slice_balance_example", _balance_rows(engine)),
    ):
        log.run(f"DROP TABLE IF EXISTS `{table}`")
        log.run(f"CREATE TABLE `{table}` LIKE `{example}`")
        for part in _parts(rows):
            marks = ",".join([f"({','.join(['%s'] * len(part[0]))})"] * len(part))
            log.run(f"INSERT INTO `{table}` VALUES {marks}", [value for row in part for value in row])  # noqa: S608


def register(log: Database, engine: Engine, time_s: int, operation_id: int) -> None:
    """The row of a slice: who finds it finds whole tables. Raises: MysqlError."""
    log.run(
        "INSERT INTO slice_history (time, end_oper_id, end_order_id, end_deals_id) VALUES (%s,%s,%s,%s)",
        (time_s, operation_id, engine.last_order_id, engine.last_deal_id),
    )


def drop_tables(log: Database, time_s: int) -> None:
    """Of a slice that is not registered, or not any more. Raises: MysqlError."""
    log.run(f"DROP TABLE IF EXISTS `slice_order_{time_s}`, `slice_balance_{time_s}`")


def _clean(log: Database, before_s: int) -> None:
    """Drops slices that are older than this, but never the only ones."""
    (kept,) = log.rows("SELECT count(*) FROM slice_history WHERE time >= %s", (before_s,))[0]
    if not kept:
        return
    for number, time_s in log.rows("SELECT id, time FROM slice_history WHERE time < %s", (before_s,)):
        log.run("DELETE FROM slice_history WHERE id = %s", (number,))
        drop_tables(log, int(time_s))


def _order_rows(engine: Engine) -> Iterator[Row]:
    """By market, asks before bids, each in the order in which they are executed."""
    for market in engine.markets.values():
        for side in (market.asks, market.bids):
            for order in side.orders(0):
                yield _order_row(order, market)


def _order_row(order: Order, market: Market) -> Row:
    stock, money, fee = market.stock_prec, market.money_prec, market.fee_prec
    if order.side == ASK:
        frozen, fee_scale = raw(order.left, stock), stock + money + fee
    else:
        frozen, fee_scale = raw(order.left * order.price, stock + money), stock + fee
    return (
        order.id,
        order.kind,
        order.side,
        order.created_us / 1_000_000,
        order.updated_us / 1_000_000,
        order.user,
        market.name,
        raw(order.price, money),
        raw(order.amount, stock),
        raw(order.taker_fee, fee),
        raw(order.maker_fee, fee),
        raw(order.left, stock),
        frozen,
        raw(order.deal_stock, stock),
        raw(order.deal_money, stock + money),
        raw(order.deal_fee, fee_scale),
    )


def _balance_rows(engine: Engine) -> Iterator[Row]:
    for ledger in engine.assets.values():
        for kind, amounts in ((AVAILABLE, ledger.available), (FROZEN, ledger.frozen)):
            for user, amount in amounts.items():
                yield (None, user, ledger.name, kind, raw(amount, ledger.prec_save))


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS_MAX:
            yield part
            part = []
    if part:
        yield part
