"""The one writer of the operation log and the history in MySQL: batches, each with the position it leads to.

    batch --> log database:      BEGIN, is the position mine?, rows after it, new position, COMMIT
              history database:  the same, with its own position

Each database has its position in the transaction that holds the rows, so each row is in it once, whatever
breaks when: what a database has already is left out, and a commit whose answer was lost is seen in the
position at the next try. A position that somebody else has moved ends the writer.

While the server works on one packet, a thread waits for it and the rows of the next one are made here: two
hand-overs for each megabyte, so neither waits long for the interpreter.

A row that the columns refuse goes to `vx_dead_letter` as a statement, the rest of the batch goes on. Nothing
here retries; whoever calls does, with the same batch.

Source: protocol.md 4.1, 4.5, 4.7 (the C system's order and retries).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import tzinfo
from typing import Final

import msgspec

from vxutils.store.embedded.schema import HistoryBase, HistoryBatch, HistoryPosition, NumberedMessage
from vxutils.store.embedded.writer import OutOfPlace
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlBadData, MysqlFenced, MysqlForeign, MysqlSchemaWrong
from vxutils.store.mysql.position import (
    StoredPosition,
    lock_position,
    move_position,
    read_base,
    take_position,
    take_zone,
)
from vxutils.store.mysql.rows import DayTables, TableRows, history_rows, log_rows
from vxutils.store.mysql.schema import check
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import DEAD_LETTER_TABLE, Kind

STATEMENT_CHARACTERS: Final = 1_000_000
"""Of one INSERT; more gains nothing. A character may take four bytes of the server's packet."""

CUT_CHARACTERS: Final = 1_000_000  # of a statement in the dead letter table
REASON_CHARACTERS: Final = 2_000
DIFFERENCES_SHOWN: Final = 5


_Rows = Callable[[], Iterable[TableRows]]
"""Makes the rows anew, by table: a transaction may have to be tried in another way."""

_Insert = Callable[[Iterable[TableRows], int], list["DeadLetter"]]


class DeadLetter(msgspec.Struct, frozen=True):
    """A row that a table refused, and why. `sequence` is that of its journal record."""

    table: str
    sequence: int
    reason: str

    def __str__(self) -> str:
        return f"{self.table} refused a row of record {self.sequence}: {self.reason}"


class MysqlHistoryWriter:
    """Both databases. For one process and thread. `position` is what both have, `base` where they begin.

    Rows that were refused are told by `take_dead_letters`.
    """

    def __init__(self, sinks: tuple[_Sink, _Sink], base: HistoryBase, zone: tzinfo) -> None:
        self.base = base
        self.offsets: dict[str, int] = {}  # no messages are kept here
        self._log, self._history = sinks
        self._days = DayTables(zone)
        self._days_made: set[str] = set()
        self._dead_letters: list[DeadLetter] = []

    @property
    def position(self) -> HistoryPosition:
        """How far both databases have come: that of the one which is behind."""
        return min(self._log.position, self._history.position, key=lambda position: position.sequence)

    def append(self, batch: HistoryBatch) -> list[NumberedMessage]:
        """Commits what each database does not have yet of a batch. The list is empty: messages go elsewhere.

        Raises: OutOfPlace; MysqlFenced; a MysqlError: it may be tried again with the same batch, no row gets
        lost or written twice.
        """
        assert not batch.messages, "messages are no business of MySQL"
        if batch.after_sequence != self.position.sequence:
            raise OutOfPlace(
                f"a batch after sequence {batch.after_sequence} for databases at {self.position.sequence}"
            )
        position = batch.position
        for sink in (self._log, self._history):
            after = sink.position.sequence
            if position.sequence <= after:
                continue
            try:
                self._dead_letters += sink.commit(self._rows_of(sink, batch, after), position)
            except MysqlSchemaWrong:
                self._days_made.clear()  # somebody may have dropped one
                raise
        return []

    def _rows_of(self, sink: _Sink, batch: HistoryBatch, after_sequence: int) -> _Rows:
        if sink is self._log:
            tables = log_rows(batch.operlog, after_sequence, self._days)
            self._make_days(tables)
            return lambda: tables
        return lambda: history_rows(batch.balances, batch.orders, batch.deals, after_sequence)

    def take_dead_letters(self) -> list[DeadLetter]:
        """The rows that were refused since the last call."""
        taken, self._dead_letters = self._dead_letters, []
        return taken

    def close(self) -> None:
        """Ends both connections."""
        self._log.close()
        self._history.close()

    def _make_days(self, tables: list[TableRows]) -> None:
        # Before the transaction: making a table commits whatever is open.
        for table in tables:
            if table.name not in self._days_made:
                self._log.database.run(f"CREATE TABLE IF NOT EXISTS `{table.name}` LIKE `operlog_example`")
                self._days_made.add(table.name)


class _Sink:
    """One database, and how far it has come."""

    def __init__(self, database: Database, kind: Kind, stored: StoredPosition) -> None:
        self.database = database
        self.kind: Kind = kind
        self._stored = stored
        self._statement_characters = min(STATEMENT_CHARACTERS, database.packet_bytes_max() // 5)
        self._sender = ThreadPoolExecutor(1, f"mysql-{kind}")

    @property
    def position(self) -> HistoryPosition:
        return self._stored.position

    def close(self) -> None:
        self._sender.shutdown()
        self.database.close()

    def commit(self, rows: _Rows, position: HistoryPosition) -> list[DeadLetter]:
        """One transaction. What was refused is returned; it is committed as dead letters."""
        try:
            return self._commit(rows, position, self._insert_together)
        except MysqlBadData:
            return self._commit(rows, position, self._insert_with_care)

    def _commit(self, rows: _Rows, position: HistoryPosition, insert: _Insert) -> list[DeadLetter]:
        database = self.database
        moved = StoredPosition(self._stored.system_id, position).opened(self._stored.epoch)
        with database.transaction():
            stored = lock_position(database, self.kind)
            if stored != self._stored and stored != moved:
                self._raise_moved(stored)
            if stored == moved:  # an earlier commit has happened, though its answer was lost
                dead = self._buried(position)
            else:
                dead = insert(rows(), position.time_us)
                move_position(database, self.kind, moved)
        self._stored = moved
        return dead

    def _raise_moved(self, stored: StoredPosition | None) -> None:
        database = self.database
        if stored is None:
            raise MysqlForeign(f"{database}: the position of this system was removed")
        if stored.system_id != self._stored.system_id:
            raise MysqlForeign(f"{database}: now belongs to system {stored.system_id}")
        if stored.epoch > self._stored.epoch:
            raise MysqlFenced(
                f"{database}: another engine of this system writes with epoch {stored.epoch}, this one has "
                f"{self._stored.epoch}: stop one of them"
            )
        raise OutOfPlace(
            f"{database}: somebody else has moved it from sequence {self.position.sequence} to "
            f"{stored.position.sequence}"
        )

    def _insert_together(self, tables: Iterable[TableRows], time_us: int) -> list[DeadLetter]:
        """Few large packets. Raises: MysqlBadData if any row is refused; nothing is put aside."""
        under_way: Future[None] | None = None
        try:
            for packet in self._packets(tables):
                if under_way is not None:
                    under_way.result()
                under_way = self._sender.submit(self.database.run_many, packet)
        finally:
            # Also after an error: the connection is the thread's until it has its answer.
            if under_way is not None:
                under_way.result()
        return []

    def _packets(self, tables: Iterable[TableRows]) -> Iterator[list[str]]:
        """The statements that go together. Raises: MysqlBadData."""
        statements: list[str] = []
        size = 0
        for table in tables:
            for begin, end in self._parts(table):
                statement = table.head + ",".join(table.values[begin:end])
                if size + len(statement) > self._statement_characters:
                    yield statements
                    statements, size = [], 0
                if len(statement) > self._statement_characters + len(table.head):
                    raise MysqlBadData("a row is too long")
                statements.append(statement)
                size += len(statement) + 1
        yield statements

    def _insert_with_care(self, tables: Iterable[TableRows], time_us: int) -> list[DeadLetter]:
        """Statement by statement; what is refused is put aside."""
        dead: list[DeadLetter] = []
        for table in tables:
            for begin, end in self._parts(table):
                self._insert_some(table, begin, end, time_us, dead)
        return dead

    def _parts(self, table: TableRows) -> Iterator[tuple[int, int]]:
        """The rows of a table in parts that a statement takes; a longer row is alone."""
        begin = size = 0
        for index, text in enumerate(table.values):
            if size and size + len(text) > self._statement_characters:
                yield begin, index
                begin, size = index, 0
            size += len(text) + 1
        yield begin, len(table.values)

    def _insert_some(
        self, table: TableRows, begin: int, end: int, time_us: int, dead: list[DeadLetter]
    ) -> None:
        """Rows begin..end of a table; those which it refuses are looked for by halves."""
        statement = table.head + ",".join(table.values[begin:end])
        try:
            if len(statement) > self._statement_characters + len(table.head):
                raise MysqlBadData(f"a row of {len(statement)} characters is too long for the server")
            self.database.run(statement)
        except MysqlBadData as error:
            if end - begin > 1:
                middle = (begin + end) // 2
                self._insert_some(table, begin, middle, time_us, dead)
                self._insert_some(table, middle, end, time_us, dead)
                return
            letter = DeadLetter(table.name, table.sequences[begin], str(error)[:REASON_CHARACTERS])
            self._bury(letter, statement, time_us)
            dead.append(letter)

    def _buried(self, position: HistoryPosition) -> list[DeadLetter]:
        """The dead letters of the batch that ends at `position`."""
        rows = self.database.rows(
            f"SELECT table_name, sequence, reason FROM `{DEAD_LETTER_TABLE}`"  # noqa: S608
            " WHERE sequence > %s AND sequence <= %s ORDER BY id",
            (self.position.sequence, position.sequence),
        )
        return [DeadLetter(*row) for row in rows]

    def _bury(self, letter: DeadLetter, statement: str, time_us: int) -> None:
        characters = min(CUT_CHARACTERS, self._statement_characters // 2)
        if len(statement) > characters:
            statement = f"{statement[:characters]} -- cut from {len(statement)} characters"
        self.database.run(
            f"INSERT INTO `{DEAD_LETTER_TABLE}` (sequence, time_us, table_name, statement, reason)"  # noqa: S608
            " VALUES (%s,%s,%s,%s,%s)",
            (letter.sequence, time_us, letter.table, statement, letter.reason),
        )


def open_history(
    log: MysqlSettings,
    history: MysqlSettings,
    system_id: bytes,
    zone: tzinfo,
    zone_name: str,
    base: HistoryBase | None = None,
    epoch: int = 0,
) -> MysqlHistoryWriter:
    """Opens both databases; new ones begin at `base`. With `epoch` it fences whoever has a lower one.

    Our own tables are made where they are missing, those of the C system never.

    Raises: MysqlSchemaWrong naming what differs; MysqlForeign: another system's, another zone's, or the C
    system's rows which nobody has taken over; MysqlFenced; MysqlError.
    """
    begin = base or HistoryBase()
    databases = (Database(log, takes_many=True), Database(history, takes_many=True))
    kinds: tuple[Kind, Kind] = ("log", "history")
    try:
        for database, kind in zip(databases, kinds, strict=True):
            _demand_schema(database, kind)
        take_zone(databases[0], zone_name)
        sinks = [
            _Sink(database, kind, take_position(database, kind, system_id.hex(), begin, epoch))
            for database, kind in zip(databases, kinds, strict=True)
        ]
        return MysqlHistoryWriter((sinks[0], sinks[1]), read_base(databases[0]) or begin, zone)
    except BaseException:
        for database in databases:
            database.close()
        raise


def _demand_schema(database: Database, kind: Kind) -> None:
    fatal = [str(difference) for difference in check(database, kind) if difference.is_fatal]
    if fatal:
        shown = "; ".join(fatal[:DIFFERENCES_SHOWN])
        more = f" and {len(fatal) - DIFFERENCES_SHOWN} more" if len(fatal) > DIFFERENCES_SHOWN else ""
        raise MysqlSchemaWrong(
            f"{database} is not as it should be: {shown}{more}; `vx db init` makes what is missing"
        )
