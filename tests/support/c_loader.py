"""A start of the C system, from its log database: protocol 4.4 word for word, and nothing of our own code.

    slice_history, newest row -> slice_order_T -> slice_balance_T -> operlog of the days of T, T + 86400, ...

It fails as the C system fails: a gap, an unknown method, a number that can not be read, an operation that is
refused now. It has its own SQL, its own decimals (34 digits, cut toward zero), and executes operations by the
naive exchange. What it has loaded goes on as a live C system does: operations are executed and appended to
the log. History rows and messages are not its business.

Source: protocol.md 2.3, 2.4, 2.6, 4.1, 4.3, 4.4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from typing import Any

import pymysql

from tests.support import naive
from tests.support.naive import BUY, SELL, Market, NaiveExchange, Order
from vxutils.store.mysql.settings import MysqlSettings

PAGE = 1_000
DAY_S = 86_400
C_DECIMALS = Context(prec=34, rounding=ROUND_DOWN, Emax=6144, Emin=-6143, clamp=1)
RESCALE = Context(prec=10_000, rounding=ROUND_DOWN)  # which the 34 digits do not limit
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

COMMANDS = {"update_balance": 102, "limit_order": 201, "market_order": 202, "cancel_order": 204}
METHODS = {command: method for method, command in COMMANDS.items()}

Row = tuple[Any, ...]
State = dict[str, Any]


class CLoadError(Exception):
    """The C system does not start from this database; the text says at what."""


def c_decimal(text: str, prec: int) -> Decimal:
    """Source: protocol.md 2.4. Raises: CLoadError."""
    if not NUMBER.fullmatch(text):
        raise CLoadError(f"{text!r} can not be read as a number")
    value = C_DECIMALS.create_decimal(text)
    return value.quantize(Decimal((0, (1,), -prec)), context=RESCALE) if prec else value


def days_read(slice_s: int | None, now_s: int, zone: tzinfo) -> list[str]:
    """The tables that are read, in this order; a day may come twice, or never, where clocks change."""

    def table(time_s: int) -> str:
        return f"operlog_{datetime.fromtimestamp(time_s, zone):%Y%m%d}"

    if slice_s is None:
        return [table(now_s)]
    today = datetime.fromtimestamp(now_s, zone).date()
    end_s = int(datetime(today.year, today.month, today.day, tzinfo=zone).timestamp()) + DAY_S
    return [table(time_s) for time_s in range(slice_s, end_s, DAY_S)]


class CSystem(NaiveExchange):
    """The state of a C engine: what `load` has built, and what was executed since."""

    def __init__(self, log: MysqlSettings, config: dict[str, Any], zone: tzinfo) -> None:
        super().__init__(config["assets"], config["markets"])
        self.operation_id = 0
        self.deal_id = 0
        self._log = log
        self._zone = zone

    @property
    def order_id(self) -> int:
        return self._last_order_id

    @property
    def state(self) -> State:
        """All that must be equal to the state it was made from: books in their order, balances, counters."""
        return {
            "counters": (self.operation_id, self.order_id, self.deal_id),
            "balances": dict(self._balances),
            "books": {
                (market.name, side): [_shown(order) for order in market.books[side]]
                for market in self._markets.values()
                for side in (SELL, BUY)
            },
        }

    def call(self, command: int, params: list[Any], now_us: int) -> naive.Reply:
        with localcontext(C_DECIMALS):
            try:
                return {"error": None, "result": self._commands[command](params, now_us)}
            except naive.RefusalError as refusal:
                return {"error": {"code": refusal.code, "message": refusal.message}, "result": None}

    def execute(self, command: int, params: list[Any], now_s: int) -> naive.Reply:
        """An operation as a client asks for it; a successful one is appended to the log of the day."""
        reply = self.call(command, params, now_s * 1_000_000)
        if reply["error"] is None:
            self.operation_id += 1
            if command == 102:
                params = [*params[:5], {**params[5], "id": params[3]}]
            detail = {"method": METHODS[command], "params": params}
            table = f"operlog_{datetime.fromtimestamp(now_s, self._zone):%Y%m%d}"
            with _connect(self._log) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE IF NOT EXISTS `{table}` LIKE `operlog_example`")
                text = json.dumps(detail, sort_keys=True, ensure_ascii=False)
                cursor.execute(
                    f"INSERT INTO `{table}` (`id`, `time`, `detail`) VALUES (%s, %s, %s)",
                    (self.operation_id, f"{now_s:f}", text),
                )
        return reply

    # -- loading -------------------------------------------------------------------------------

    def load_slice(self, cursor: pymysql.cursors.Cursor, row: Row) -> None:
        """Raises: CLoadError."""
        time_s, self.operation_id, self._last_order_id, self.deal_id = row
        for order in _pages(
            cursor,
            f"slice_order_{time_s}",
            "`id`, `t`, `side`, `create_time`, `update_time`, `user_id`, `market`, `price`, `amount`,"
            " `taker_fee`, `maker_fee`, `left`, `freeze`, `deal_stock`, `deal_money`, `deal_fee`",
        ):
            market = self._markets.get(order[6])
            if market is not None:
                market.place(_order(order, market))
        # What the orders freeze fails here, there are no balances yet: both kinds come from the dump.
        for _, user, asset, kind, text in _pages(
            cursor, f"slice_balance_{time_s}", "`id`, `user_id`, `asset`, `t`, `balance`"
        ):
            if asset in self._assets:
                value = c_decimal(text, self._assets[asset]["prec_save"])
                if value > 0:
                    self._balances[user, kind, asset] = value

    def replay(self, cursor: pymysql.cursors.Cursor, table: str, now_us: int) -> None:
        """Raises: CLoadError."""
        cursor.execute("SHOW TABLES LIKE %s", (table,))
        if not cursor.fetchall():
            return
        shown = self._assets
        # A replay takes the change with all decimals that are kept; a live request with those shown.
        self._assets = {name: {**asset, "prec_show": asset["prec_save"]} for name, asset in shown.items()}
        while True:
            cursor.execute(
                f"SELECT `id`, `time`, `detail` FROM `{table}` WHERE `id` > %s ORDER BY `id` LIMIT {PAGE}",
                (self.operation_id,),
            )
            rows = cursor.fetchall()
            for number, _, detail in rows:
                if number != self.operation_id + 1:
                    raise CLoadError(f"invalid id: {number} in {table}, last is {self.operation_id}")
                self.operation_id = number
                self._replay_one(number, detail, now_us)
            if len(rows) < PAGE:
                break
        self._assets = shown

    def _replay_one(self, number: int, detail: str | None, now_us: int) -> None:
        try:
            entry = json.loads(detail or "")
            method, params = entry["method"], entry["params"]
        except (ValueError, KeyError, TypeError) as error:
            raise CLoadError(f"operation {number} can not be parsed: {detail!r}") from error
        command = COMMANDS.get(method)
        if command is None:
            raise CLoadError(f"operation {number} has the unknown method {method!r}")
        known = self._assets if command == 102 else self._markets
        if params[1] not in known:
            return
        if command == 204:  # whose order it is, is not looked at
            order = self._markets[params[1]].find(params[2])
            params = [order.user if order is not None else params[0], *params[1:]]
        reply = self.call(command, params, now_us)
        if reply["error"] is not None:
            raise CLoadError(f"operation {number}, {method}: {reply['error']['message']}")

    def _match(self, market: Market, taker: Order, now_us: int) -> None:
        waiting = [(maker, maker.left) for maker in market.books[SELL + BUY - taker.side]]
        super()._match(market, taker, now_us)
        self.deal_id += sum(maker.left != left for maker, left in waiting)


def load(log: MysqlSettings, config: dict[str, Any], now_s: int, zone: tzinfo) -> CSystem:
    """Starts the C system at this second in this zone, with the `assets` and `markets` of its configuration.

    Raises: CLoadError where it would not start.
    """
    found = CSystem(log, config, zone)
    with _connect(log) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT `time`, `end_oper_id`, `end_order_id`, `end_deals_id` FROM `slice_history`"
            " ORDER BY `id` DESC LIMIT 1"
        )
        newest = cursor.fetchone()
        if newest is not None:
            found.load_slice(cursor, newest)
        for table in days_read(newest[0] if newest is not None else None, now_s, zone):
            found.replay(cursor, table, now_s * 1_000_000)
    return found


def _connect(settings: MysqlSettings) -> pymysql.connections.Connection[Any]:
    return pymysql.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password,
        database=settings.name,
        charset="utf8mb4",
        autocommit=True,
        conv={  # decimals as the text that the server sends
            **pymysql.converters.conversions,
            pymysql.constants.FIELD_TYPE.DECIMAL: str,
            pymysql.constants.FIELD_TYPE.NEWDECIMAL: str,
        },
    )


def _pages(cursor: pymysql.cursors.Cursor, table: str, columns: str) -> Iterator[Row]:
    last = 0
    while True:
        try:
            cursor.execute(
                f"SELECT {columns} FROM `{table}` WHERE `id` > %s ORDER BY `id` LIMIT {PAGE}", (last,)
            )
        except pymysql.err.ProgrammingError as error:
            raise CLoadError(str(error)) from error
        rows = cursor.fetchall()
        yield from rows
        if len(rows) < PAGE:
            return
        last = rows[-1][0]


def _order(row: Row, market: Market) -> Order:
    number, kind, side, created_s, updated_s, user, _, price, amount, taker_fee, maker_fee, left = row[:12]
    _, deal_stock, deal_money, deal_fee = row[12:]
    return Order(
        number,
        market.name,
        "",
        kind,
        side,
        user,
        round(created_s * 1_000_000),
        round(updated_s * 1_000_000),
        c_decimal(price, market.money_prec),
        c_decimal(amount, market.stock_prec),
        c_decimal(taker_fee, market.fee_prec),
        c_decimal(maker_fee, market.fee_prec),
        c_decimal(left, market.stock_prec),
        c_decimal(deal_stock, 0),
        c_decimal(deal_money, 0),
        c_decimal(deal_fee, 0),
    )


def _shown(order: Order) -> Row:
    return (
        *(order.id, order.user, order.type, order.price, order.amount, order.left),
        *(order.taker_fee, order.maker_fee, order.deal_stock, order.deal_money, order.deal_fee),
    )
