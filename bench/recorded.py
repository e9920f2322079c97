"""What a journal says must be in the stores, and what is: counts and sums of ids, by table family and topic.

    journal --executed again, derived--> wanted
    MariaDB: all tables of a family --count, sum of ids--> found      they differ where a row is missing,
    Kafka: every committed message  --order, count, sum--> found      doubled, or another one

An operation, an order, a deal has its id; a balance row counts with its user, a message with the sequence of
its record, and messages of a topic must be in the order of the journal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from bench.servers import Servers
from matchengine import system
from matchengine.recorder.replica import Place, Replica
from matchengine.recovery import JOURNAL_DIRECTORY
from vxutils.disk import Disk
from vxutils.store.embedded.schema import TOPICS, HistoryPosition
from vxutils.store.kafka.reading import TopicReader
from vxutils.store.mysql.tables import SHARDS

TURN_BYTES: Final = 1 << 20

# Table family, and what of a row is summed.
_FAMILIES: Final = {
    "balance_history": "user_id",
    "order_history": "id",
    "order_detail": "id",
    "deal_history": "deal_id",
    "user_deal_history": "deal_id",
}

Sums = dict[str, tuple[int, int]]
"""Count and sum of ids by table family or topic."""


class _Sums(msgspec.Struct):
    count: int = 0
    total: int = 0

    def add(self, rows: list[Any], column: int) -> None:
        self.count += len(rows)
        self.total += sum(row[column] for row in rows)


def journal_sums(data: Path) -> Sums:
    """Of everything that follows from the whole journal of a data directory whose engine has ended.

    Cost some 40 us for each record. Raises: JournalError.
    """
    place = Place(data, data / JOURNAL_DIRECTORY, system.read_system(Disk(), data).id_bytes)
    names = ("operlog", *_FAMILIES, *(f"topic {topic}" for topic in TOPICS))
    sums = {name: _Sums() for name in names}
    replica = Replica(Disk(), place, HistoryPosition())
    try:
        while replica.advance(TURN_BYTES):
            batch = replica.take()
            sums["operlog"].add(batch.operlog, 0)
            sums["balance_history"].add(batch.balances, 2)
            for family in ("order_history", "order_detail"):
                sums[family].add(batch.orders, 0)
            for family in ("deal_history", "user_deal_history"):
                sums[family].add(batch.deals, 3)
            for topic in TOPICS:
                sums[f"topic {topic}"].add([one for one in batch.messages if one[0] == topic], 1)
    finally:
        replica.close()
    return {name: (one.count, one.total) for name, one in sums.items()}


def mariadb_sums(servers: Servers) -> Sums:
    """Of the operation log over all days, and of each family over all its tables."""
    log, history = servers.databases["log"].name, servers.databases["history"].name
    days = [str(name) for (name,) in servers.mariadb.query(log, "SHOW TABLES LIKE 'operlog\\_2%'")]
    found = {"operlog": _sums(servers, log, days, "id")}
    for family, column in _FAMILIES.items():
        tables = [f"{family}_{shard}" for shard in range(SHARDS)]
        found[family] = _sums(servers, history, tables, column)
    return found


def _sums(servers: Servers, database: str, tables: list[str], column: str) -> tuple[int, int]:
    if not tables:
        return 0, 0
    parts = " UNION ALL ".join(
        f"SELECT count(*) AS c, coalesce(sum(`{column}`), 0) AS s FROM `{table}`" for table in tables
    )
    ((count, total),) = servers.mariadb.query(database, f"SELECT sum(c), sum(s) FROM ({parts}) AS parts")
    return int(count), int(total)


def topic_sums(servers: Servers) -> tuple[Sums, list[str]]:
    """Of each topic, and in words what is out of order. Raises: KafkaTrouble."""
    found: Sums = {}
    wrong: list[str] = []
    reader = TopicReader(servers.kafka.brokers)
    try:
        for topic in TOPICS:
            count = total = 0
            latest = (0, -1)
            low, high = reader.ends(topic)
            for offset, origin in reader.read(topic, low, high):
                number = (origin.id.sequence, origin.id.number) if origin is not None else (0, 0)
                if number <= latest:
                    wrong.append(f"topic {topic}: offset {offset} is of {number}, after {latest}")
                latest = number
                count += 1
                total += number[0]
            found[f"topic {topic}"] = count, total
    finally:
        reader.close()
    return found, wrong


def differences(wanted: Sums, found: Sums) -> list[str]:
    """In words: what is not what the journal says."""
    return [
        f"{name}: {found.get(name, (0, 0))[0]} with ids that sum to {found.get(name, (0, 0))[1]}, "
        f"not {count} with {total}"
        for name, (count, total) in wanted.items()
        if found.get(name) != (count, total)
    ]
