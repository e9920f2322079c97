"""How far a database has come, whose it is, and in which zone its days are: `vx_position`, `vx_about`.

    vx_position   name (log, history) | system_id, epoch, sequence, digest, time_us
    vx_about      zone, base, handed_over (to the C system), former (systems that were)

The C system does not know these tables. The row of a database changes in the transaction that writes its
rows and under its own lock. `epoch` is the newest one that was opened on the database, by whoever.
"""

from __future__ import annotations

from typing import Final

import msgspec

from vxutils.store.embedded.schema import HistoryBase, HistoryPosition
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlFenced, MysqlForeign, MysqlSchemaWrong
from vxutils.store.mysql.schema import create_own
from vxutils.store.mysql.tables import ABOUT_TABLE, POSITION_TABLE, Kind

ZONE: Final = "zone"
BASE: Final = "base"
HANDED_OVER: Final = "handed_over"
FORMER: Final = "former"

FORMER_MAX: Final = 7
"""System ids that are remembered: as many as a value holds."""

_SELECT: Final = f"SELECT system_id, epoch, sequence, digest, time_us FROM `{POSITION_TABLE}` WHERE name = %s"  # noqa: S608


class StoredPosition(msgspec.Struct, frozen=True):
    """A row of `vx_position`. `system_id` is hexadecimal; `position.epoch` the newest that was opened."""

    system_id: str
    position: HistoryPosition

    @property
    def epoch(self) -> int:
        return self.position.epoch

    def opened(self, epoch: int) -> StoredPosition:
        """The same place with a newer epoch."""
        position = msgspec.structs.replace(self.position, epoch=max(epoch, self.epoch))
        return StoredPosition(self.system_id, position)


class HandedOver(msgspec.Struct, frozen=True):
    """That the exchange in a database was given to the C system: by whom, after which of its records, with
    the slice of which second."""

    system_id: str
    sequence: int
    slice_time_s: int

    def __str__(self) -> str:
        return f"was handed over to the C system at sequence {self.sequence} (slice {self.slice_time_s})"


def read_position(database: Database, kind: Kind) -> StoredPosition | None:
    """The position of a database; None when it has none, as one of the C system. Raises: MysqlError."""
    try:
        return _select(database, _SELECT, kind)
    except MysqlSchemaWrong as error:
        if error.code == _NO_SUCH_TABLE:
            return None
        raise


def lock_position(database: Database, kind: Kind) -> StoredPosition | None:
    """As `read_position`, and locked until the transaction ends, which must be under way."""
    return _select(database, f"{_SELECT} FOR UPDATE", kind)


def move_position(database: Database, kind: Kind, stored: StoredPosition) -> None:
    """Writes the row, new or not. Raises: MysqlError."""
    position = stored.position
    values = (position.sequence, position.digest.hex(), position.time_us)
    database.run(
        f"REPLACE INTO `{POSITION_TABLE}` (name, system_id, epoch, sequence, digest, time_us)"  # noqa: S608
        " VALUES (%s,%s,%s,%s,%s,%s)",
        (kind, stored.system_id, position.epoch, *values),
    )


def take_position(
    database: Database, kind: Kind, system_id: str, base: HistoryBase, epoch: int
) -> StoredPosition:
    """The position from which a writer of this system and epoch goes on; the row says so from now on.

    A database without one begins at `base`, unless somebody else has written rows to it.
    Raises: MysqlForeign, MysqlFenced, MysqlError.
    """
    create_own(database)
    with database.transaction():
        given_away = read_handed_over(database)
        if given_away is not None:
            raise MysqlForeign(
                f"{database} {given_away}: take the exchange back with `vx adopt --config`, into a new "
                "directory"
            )
        stored = lock_position(database, kind)
        if stored is None:
            if holds_rows(database, kind):
                raise MysqlForeign(
                    f"{database} holds rows, but not how far they go: another system wrote them; take it "
                    "over before writing to it, or name an empty database"
                )
            stored = StoredPosition(system_id, HistoryPosition(sequence=base.sequence, epoch=epoch))
            move_position(database, kind, stored)
            if kind == "log":
                put_about(database, BASE, msgspec.json.encode(base).decode())
        elif stored.system_id != system_id:
            raise MysqlForeign(
                f"{database} belongs to system {stored.system_id}, this data directory is system {system_id}"
            )
        elif stored.epoch > epoch > 0:
            raise MysqlFenced(
                f"{database}: another engine of this system writes with epoch {stored.epoch}, this one has "
                f"{epoch}: stop one of them"
            )
        elif stored.epoch < epoch:
            stored = stored.opened(epoch)
            move_position(database, kind, stored)
    return stored


def take_zone(database: Database, zone_name: str) -> None:
    """The zone of the day tables: said once, the same ever after. Raises: MysqlForeign, MysqlError."""
    create_own(database)
    found = read_about(database, ZONE)
    if found is None:
        put_about(database, ZONE, zone_name)
    elif found != zone_name:
        raise MysqlForeign(
            f"{database}: the days of its operation log are those of {found}, the settings say {zone_name}"
        )


def read_base(database: Database) -> HistoryBase | None:
    """From where the history begins; None if nobody has said so. Raises: MysqlError."""
    text = read_about(database, BASE)
    return None if text is None else msgspec.json.decode(text, type=HistoryBase)


def read_about(database: Database, name: str) -> str | None:
    """A value of `vx_about`. Raises: MysqlError."""
    rows = database.rows(f"SELECT value FROM `{ABOUT_TABLE}` WHERE name = %s", (name,))  # noqa: S608
    return str(rows[0][0]) if rows else None


def put_about(database: Database, name: str, value: str) -> None:
    """Writes a value of `vx_about`. Raises: MysqlError."""
    database.run(f"REPLACE INTO `{ABOUT_TABLE}` (name, value) VALUES (%s,%s)", (name, value))  # noqa: S608


def read_handed_over(database: Database) -> HandedOver | None:
    """Whether the C system owns what is in the database, and since when; None if not. Raises: MysqlError."""
    try:
        text = read_about(database, HANDED_OVER)
    except MysqlSchemaWrong as error:
        if error.code == _NO_SUCH_TABLE:
            return None
        raise
    return None if text is None else msgspec.json.decode(text, type=HandedOver)


def give_away(database: Database, kind: Kind, given: HandedOver) -> bool:
    """Writes that the database was handed over, in an epoch above all that wrote to it; may be repeated.

    False, and nothing changes, when the database belongs to another system by now. Raises: MysqlError.
    """
    with database.transaction():
        stored = lock_position(database, kind)
        if stored is None or stored.system_id != given.system_id:
            return False
        if read_handed_over(database) is None:
            move_position(database, kind, stored.opened(stored.epoch + 1))
        put_about(database, HANDED_OVER, msgspec.json.encode(given).decode())
    return True


def take_back(database: Database, kind: Kind, taken: StoredPosition) -> list[str]:
    """Gives the database to `taken.system_id`, at that position, handed over before or not.

    The systems that had it before are remembered, newest first, and returned. Raises: MysqlError.
    """
    create_own(database)
    with database.transaction():
        stored = lock_position(database, kind)
        former = (read_about(database, FORMER) or "").split()
        if stored is not None and read_handed_over(database) is not None:
            former = [stored.system_id, *former][:FORMER_MAX]
            put_about(database, FORMER, " ".join(former))
            database.run(f"DELETE FROM `{ABOUT_TABLE}` WHERE name = %s", (HANDED_OVER,))  # noqa: S608
        move_position(database, kind, taken)
    return former


def holds_rows(database: Database, kind: Kind) -> bool:
    """Whether the C system, or anybody, has written to the tables of this database. Raises: MysqlError."""
    if kind == "log":
        days = database.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_name LIKE 'operlog\\_2%'"
        )
        tables = ["slice_history", *(name for (name,) in days)]
    else:
        # Whoever has a balance has a row in one of these.
        tables = [f"balance_history_{shard}" for shard in range(100)]
    return any(database.rows(f"SELECT 1 FROM `{name}` LIMIT 1") for name in tables)  # noqa: S608


_NO_SUCH_TABLE: Final = 1146


def _select(database: Database, statement: str, kind: Kind) -> StoredPosition | None:
    rows = database.rows(statement, (kind,))
    if not rows:
        return None
    system_id, epoch, sequence, digest, time_us = rows[0]
    position = HistoryPosition(sequence, epoch, time_us, bytes.fromhex(digest))
    return StoredPosition(system_id, position)
