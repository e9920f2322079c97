"""Rows of history as SQL text, sorted into the tables of the C system.

    HistoryBatch -> operlog_YYYYMMDD                                      by the day of the record
                    balance_history_N order_history_N user_deal_history_N by user % 100
                    order_detail_N deal_history_N                         by order % 100

Each row becomes the text between `VALUES` and the next comma; texts are escaped by the driver. In each table
the rows stay in the order of the journal. Automatic ids are left to the server. Nothing here talks to one.

Source: protocol.md 4.1, 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from pymysql.converters import escape_string

from vxutils.store.embedded.schema import Row
from vxutils.store.mysql.tables import FAMILIES, LOG_TABLES, SHARDS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US: Final = 60_000_000


class TableRows:
    """The rows of one table. `sequences` are those of their journal records, in the same order."""

    __slots__ = ("columns", "name", "sequences", "values")

    def __init__(self, name: str, columns: str) -> None:
        self.name = name
        self.columns = columns
        self.values: list[str] = []
        self.sequences: list[int] = []

    @property
    def head(self) -> str:
        """Everything of the statement before the rows."""
        return f"INSERT INTO `{self.name}` ({self.columns}) VALUES "  # noqa: S608


class DayTables:
    """Names of the day tables: local dates in one zone. Remembers the last minute: in it no date changes."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._minute = -1
        self._name = ""

    def name(self, time_us: int) -> str:
        """`operlog_YYYYMMDD` of a moment."""
        minute = time_us // _MINUTE_US
        if minute != self._minute:
            day = (_EPOCH + timedelta(minutes=minute)).astimezone(self._zone)
            self._minute, self._name = minute, f"operlog_{day:%Y%m%d}"
        return self._name


def log_rows(operlog: Iterable[Row], after_sequence: int, days: DayTables) -> list[TableRows]:
    """The operation log after `after_sequence`: one TableRows for each day."""
    tables: dict[str, TableRows] = {}
    times = _Times()
    row: Any
    for row in operlog:
        number, sequence, time_us, detail = row
        if sequence <= after_sequence:
            continue
        name = days.name(time_us)
        table = tables.get(name)
        if table is None:
            table = tables[name] = TableRows(name, _OPERLOG_COLUMNS)
        table.values.append(f"({number:d},{times[time_us]},'{escape_string(detail)}')")
        table.sequences.append(sequence)
    return list(tables.values())


def history_rows(
    balances: Iterable[Row], orders: Iterable[Row], deals: Iterable[Row], after_sequence: int
) -> Iterator[TableRows]:
    """The rows of history after `after_sequence`, by table; each kind is made when it is asked for."""
    yield from _balance_rows(balances, after_sequence)
    yield from _order_rows(orders, after_sequence)
    yield from _deal_rows(deals, after_sequence)


def _balance_rows(rows: Iterable[Row], after_sequence: int) -> list[TableRows]:
    shards = _shards("balance_history")
    escape, times = _Escaped(), _Times()
    row: Any
    for row in rows:
        sequence, time_us, user, asset, business, change, balance, detail = row
        if sequence <= after_sequence:
            continue
        shard = shards(user % SHARDS)
        # Escaped together: the decimals hold no comma, the detail is the rest.
        change, balance, detail = escape_string(f"{change},{balance},{detail}").split(",", 2)
        shard.values.append(
            f"({times[time_us]},{user:d},'{escape[asset]}','{escape[business]}','{change}','{balance}','{detail}')"
        )
        shard.sequences.append(sequence)
    return shards.used()


def _order_rows(rows: Iterable[Row], after_sequence: int) -> list[TableRows]:
    histories, details = _shards("order_history"), _shards("order_detail")
    escape, times = _Escaped(), _Times()
    row: Any
    for row in rows:
        number, sequence, created_us, finished_us, user, market, source, kind, side, *decimals = row
        if sequence <= after_sequence:
            continue
        text = (
            f"({number:d},{times[created_us]},{times[finished_us]},{user:d},'{escape[market]}',"
            f"'{escape[source]}',{kind:d},{side:d},{_decimals(decimals)})"
        )
        for shard in (histories(user % SHARDS), details(number % SHARDS)):
            shard.values.append(text)
            shard.sequences.append(sequence)
    return histories.used() + details.used()


def _deal_rows(rows: Iterable[Row], after_sequence: int) -> list[TableRows]:
    by_order, by_user = _shards("deal_history"), _shards("user_deal_history")
    escape, times = _Escaped(), _Times()
    row: Any
    for row in rows:
        sequence, time_us, user, deal_id, order_id, other_id, side, role, market, *decimals = row
        if sequence <= after_sequence:
            continue
        head = f"({times[time_us]},{user:d},"
        ids = f"{deal_id:d},{order_id:d},{other_id:d},"
        tail = f"{role:d},{_decimals(decimals)})"
        shard = by_order(order_id % SHARDS)
        shard.values.append(f"{head}{ids}{tail}")
        shard.sequences.append(sequence)
        shard = by_user(user % SHARDS)
        shard.values.append(f"{head}'{escape[market]}',{ids}{side:d},{tail}")
        shard.sequences.append(sequence)
    return by_order.used() + by_user.used()


class _Escaped(dict[str, str]):
    """Escaped texts by text; for one batch, for columns in which few values come often."""

    def __missing__(self, text: str) -> str:
        escaped = self[text] = escape_string(text)
        return escaped


class _Times(dict[int, str]):
    """Seconds with six decimals, as the C system writes them, by microseconds; for one batch, in which many
    rows have the same time. Source: protocol.md 4.1."""

    def __missing__(self, time_us: int) -> str:
        seconds, microseconds = divmod(time_us, 1_000_000)
        text = self[time_us] = f"{seconds}.{microseconds:06d}"
        return text


class _Shards:
    """The tables of one family by shard number, made when they are first wanted."""

    def __init__(self, family: str, columns: str) -> None:
        self._family = family
        self._columns = columns
        self._tables: list[TableRows | None] = [None] * SHARDS

    def __call__(self, number: int) -> TableRows:
        table = self._tables[number]
        if table is None:
            table = self._tables[number] = TableRows(f"{self._family}_{number}", self._columns)
        return table

    def used(self) -> list[TableRows]:
        return [table for table in self._tables if table is not None]


def _quoted_columns(names: Iterable[str]) -> str:
    return ",".join(f"`{name}`" for name in names)


_OPERLOG_COLUMNS: Final = _quoted_columns(column.name for column in LOG_TABLES["operlog_example"].columns)
_FAMILY_COLUMNS: Final = {
    family: _quoted_columns(
        column.name for column in table.columns if not column.more.endswith("AUTO_INCREMENT")
    )
    for family, table in FAMILIES.items()
}


def _shards(family: str) -> _Shards:
    return _Shards(family, _FAMILY_COLUMNS[family])


def _decimals(texts: Iterable[str]) -> str:
    """Texts without a comma, escaped all at once: that costs half of escaping each."""
    return "'" + escape_string(",".join(texts)).replace(",", "','") + "'"
