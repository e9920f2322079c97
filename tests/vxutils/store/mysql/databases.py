"""A log and a history database on a real server, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import Any

from pymysql.constants import CLIENT

from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.histories import SYSTEM_ID, batch_of
from vxutils.store.embedded.schema import HistoryBase, HistoryBatch
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import create
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import FAMILIES, OWN_TABLES, SHARDS, Kind, tables_of
from vxutils.store.mysql.writer import MysqlHistoryWriter, open_history

Row = tuple[Any, ...]


def settings_of(server: MariaDbAddress, name: str, timeout_s: float = 20.0) -> MysqlSettings:
    return MysqlSettings(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        name=name,
        connect_timeout_s=2.0,
        timeout_s=timeout_s,
    )


class Pair:
    """Both databases with all their tables, empty at first."""

    def __init__(self, server: MariaDbAddress, timeout_s: float = 20.0) -> None:
        self.server = server
        self.log = settings_of(server, server.new_database("log"), timeout_s)
        self.history = settings_of(server, server.new_database("history"), timeout_s)
        create(self.log, "log")
        create(self.history, "history")

    def open(
        self,
        system_id: bytes = SYSTEM_ID,
        zone: tzinfo = UTC,
        zone_name: str = "UTC",
        base: HistoryBase | None = None,
        epoch: int = 0,
    ) -> MysqlHistoryWriter:
        return open_history(self.log, self.history, system_id, zone, zone_name, base, epoch)

    def of(self, kind: Kind) -> MysqlSettings:
        return self.log if kind == "log" else self.history

    def rows(self, kind: Kind, statement: str) -> list[Row]:
        """Decimals as text."""
        database = Database(self.of(kind))
        try:
            return database.rows(statement)
        finally:
            database.close()

    def run(self, kind: Kind, *statements: str) -> None:
        flag = CLIENT.MULTI_STATEMENTS
        with (
            self.server.connect(self.of(kind).name, client_flag=flag) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(";".join(statements))
            while cursor.nextset():
                pass

    def days(self) -> dict[str, list[Row]]:
        """The day tables with their rows, in the order of their ids."""
        names = self.rows("log", "SHOW TABLES LIKE 'operlog\\_2%'")
        return {name: self.rows("log", f"SELECT * FROM `{name}` ORDER BY id") for (name,) in names}

    def families(self) -> dict[str, dict[int, list[Row]]]:
        """Family -> shard -> rows in the order of their ids; automatic ids left out, empty shards too."""
        found: dict[str, dict[int, list[Row]]] = {}
        database = Database(self.history)
        for family, table in FAMILIES.items():
            is_automatic = table.columns[0].more.endswith("AUTO_INCREMENT")
            parts = [f"SELECT {shard} AS shard, t.* FROM {family}_{shard} t" for shard in range(SHARDS)]
            for shard, *row in database.rows(" UNION ALL ".join(parts) + " ORDER BY shard, id"):
                cut = tuple(row[1:] if is_automatic else row)
                found.setdefault(family, {}).setdefault(shard, []).append(cut)
        database.close()
        return found

    def empty(self) -> None:
        """As it was made."""
        drops = re.compile(r"operlog_\d+|slice_(order|balance)_\d+")
        names = [name for (name,) in self.rows("log", "SHOW TABLES")]
        self.run("log", *(f"{'DROP TABLE' if drops.fullmatch(n) else 'DELETE FROM'} `{n}`" for n in names))
        self.run("history", *(f"DELETE FROM `{name}`" for name in (*tables_of("history"), *OWN_TABLES)))


def rows_only(after: int, through: int) -> HistoryBatch:
    """Made-up records without messages."""
    batch = batch_of(after, through)
    batch.messages.clear()
    return batch


def sequences_in(pair: Pair) -> tuple[list[int], list[int]]:
    """The operation ids in the log, and the record numbers in the balance history, each in order."""
    logged = [row[0] for rows in pair.days().values() for row in rows]
    changes = [int(float(row[4])) for rows in pair.families()["balance_history"].values() for row in rows]
    return sorted(logged), sorted(changes)


def fresh(pair: Pair) -> Iterator[Pair]:
    """For fixtures: the databases, emptied afterwards."""
    yield pair
    pair.empty()
