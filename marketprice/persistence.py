"""The market data file, `marketprice.db`: candles, recent deals, last prices and the position in the topic.

    save: changed candles + new deals + last prices + position     one transaction, synced
    load: everything, as it was at one position

So a restart goes on exactly behind the last deal that is in the candles; nothing counts twice or is left out.
The file is this process's alone. Text in it has the form the C system keeps in Redis (protocol.md 6.4):

    markets(name, last)                     k:<market>:last
    candles(market, period, start, value)   k:<market>:1s, :1m, :1h, :1d
    deals(market, offset, value)            k:<market>:deals; offset = number of the message
    position(topic, offset, sequence, digest)   k:offset; of the last message that is in all of the above

Not here: the decision when to save, and where deals come from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from marketprice.core import number
from marketprice.core.calendar import Calendar
from marketprice.core.market import Market, Markets
from marketprice.messages import TOPIC
from marketprice.texts import Texts, parse_candle, parse_deal

FILE_NAME: Final = "marketprice.db"
FORMAT_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE position(topic TEXT PRIMARY KEY, offset INTEGER NOT NULL, sequence INTEGER NOT NULL,
    digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE markets(name TEXT PRIMARY KEY, last TEXT NOT NULL);
CREATE TABLE candles(market TEXT, period TEXT, start INTEGER, value TEXT NOT NULL,
    PRIMARY KEY(market, period, start)) WITHOUT ROWID;
CREATE TABLE deals(market TEXT, offset INTEGER, value TEXT NOT NULL,
    PRIMARY KEY(market, offset)) WITHOUT ROWID;
"""


class StoreDamaged(Exception):
    """The file can not be what we wrote; it can be made again from the history."""


class StoreRefused(Exception):
    """The file is sound and of no use to this process; the text says why and what to do."""


class Position(msgspec.Struct, frozen=True):
    """The last message taken in: its offset, journal sequence and digest. -1: none yet.

    An empty digest says nothing about the message.
    """

    offset: int = -1
    sequence: int = 0
    digest: bytes = b""


class Store:
    """The open file. `zone`: the name of the time zone whose days the candles are of.

    `saved`: the position that is safe. `trouble`: none that is not raised.
    """

    trouble: str | None = None

    def __init__(self, path: Path, zone: str) -> None:
        """Opens the file, or makes it.

        Raises: StoreDamaged, StoreRefused; sqlite3.OperationalError if the disk does not let us.
        """
        self.saved = Position()
        self._texts = Texts("viabtc")
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare(zone)
        except sqlite3.OperationalError:
            self._connection.close()
            raise
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise StoreDamaged(f"{path}: {error}") from error
        except (StoreDamaged, StoreRefused) as error:
            self._connection.close()
            raise type(error)(f"{path}: {error}") from None

    def finish(self) -> None:
        """Waits for what is not safe: nothing, after `save`."""

    def close(self) -> None:
        """Ends the use of the file."""
        self._connection.close()

    def load(self, calendar: Calendar, limits: dict[str, int]) -> tuple[Markets, Position]:
        """The state in the file, without candles before `limits` (start per period).

        Raises: StoreDamaged.
        """
        markets = Markets(calendar)
        try:
            with closing(self._connection.cursor()) as cursor:
                self._load_candles(cursor, markets, limits)
                row = cursor.execute(
                    "SELECT offset, sequence, digest FROM position WHERE topic = ?", (TOPIC,)
                ).fetchone()
        except sqlite3.DatabaseError as error:
            raise StoreDamaged(str(error)) from error
        self.saved = Position() if row is None else Position(*row)
        return markets, self.saved

    def save(self, markets: Markets, position: Position) -> int:
        """Writes what has changed, and where it comes from, at once or not at all; how many markets changed.

        Afterwards nothing counts as unsaved. On failure nothing was written. Raises: StoreDamaged;
        sqlite3.OperationalError if the disk does not let us: the same can be tried again.
        """
        changed = [market for market in markets.by_name.values() if not market.is_saved]
        if not changed and position == self.saved:
            return 0
        with self._transaction() as connection:
            for market in changed:
                self._save_market(market)
            connection.execute(
                "INSERT OR REPLACE INTO position VALUES(?, ?, ?, ?)",
                (TOPIC, position.offset, position.sequence, position.digest),
            )
        for market in changed:
            market.mark_saved()
        self.saved = position
        return len(changed)

    def drop_before(self, markets: Markets, limits: dict[str, int]) -> None:
        """Deletes candles that begin before `limits` (start per period). Raises: as `save`."""
        rows = [(name, period, start) for name in markets.by_name for period, start in limits.items()]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM candles WHERE market = ? AND period = ? AND start < ?", rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises: as `save`."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                raise StoreDamaged(str(error)) from error
            raise

    def _prepare(self, zone: str) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        version = execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._connection.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;"
            )
            execute("INSERT INTO meta VALUES('time_zone', ?)", (zone,))
            return
        if version != FORMAT_VERSION:
            raise StoreRefused(f"has format {version}, this program knows {FORMAT_VERSION}; rebuild it")
        verdict = execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreDamaged(verdict)
        row = execute("SELECT value FROM meta WHERE name = 'time_zone'").fetchone()
        if row is None or row[0] != zone:
            known = "no time zone" if row is None else f"days of the time zone {row[0]}"
            raise StoreRefused(
                f"has {known}, the settings say {zone}; set time_zone, or rebuild it: vx candles rebuild"
            )

    def _save_market(self, market: Market) -> None:
        texts, name = self._texts, market.name
        execute, executemany = self._connection.execute, self._connection.executemany
        execute("INSERT OR REPLACE INTO markets VALUES(?, ?)", (name, texts.last(market)))
        candles = (
            (name, period, start, texts.candle(candle))
            for period, start in market.changed
            if (candle := market.candle(period, start)) is not None  # dropped meanwhile
        )
        executemany("INSERT OR REPLACE INTO candles VALUES(?, ?, ?, ?)", candles)
        recent = market.recent.newest_first
        oldest = recent[-1].offset
        executemany(
            "INSERT INTO deals VALUES(?, ?, ?)",
            ((name, deal.offset, texts.deal(deal)) for deal in market.unsaved_deals if deal.offset >= oldest),
        )
        execute("DELETE FROM deals WHERE market = ? AND offset < ?", (name, oldest))

    def _load_candles(self, cursor: sqlite3.Cursor, markets: Markets, limits: dict[str, int]) -> None:
        for name, last in cursor.execute("SELECT name, last FROM markets ORDER BY rowid").fetchall():
            market = markets.know(name)
            for period, series in market.series.items():
                rows = cursor.execute(
                    "SELECT start, value FROM candles WHERE market = ? AND period = ? AND start >= ? "
                    "ORDER BY start",
                    (name, period, limits.get(period, 0)),
                )
                for start, value in rows:
                    candle = parse_candle(value)
                    if candle is None:
                        raise StoreDamaged(f"candle {period} {start} of {name}: {value!r}")
                    series.put(start, candle)
            for offset, value in cursor.execute(
                "SELECT offset, value FROM deals WHERE market = ? ORDER BY offset", (name,)
            ):
                deal = parse_deal(value, offset, name)
                if deal is None:
                    raise StoreDamaged(f"deal {offset} of {name}: {value!r}")
                market.recent.add(deal)
            self._load_last(market, last)

    @staticmethod
    def _load_last(market: Market, text: str) -> None:
        recent = market.recent.newest_first
        parsed = number.parse(text)
        if parsed is None or not recent:
            raise StoreDamaged(f"last price of {market.name}: {text!r}, {len(recent)} deals")
        market.last, market.last_scale = parsed
