"""Private servers for a run, as the tests start them: MariaDB, Redis behind sentinels, a Kafka broker.

Each is durable as in production: MariaDB syncs its log at every commit and writes pages twice. What is said
here beyond the defaults of the tests is what a machine with memory would be given; `innodb_settings` tells
what is in force.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.process import ProcessFacts, ServiceError, process_facts, sum_of
from tests.servers import kafka as kafka_server
from tests.servers import mariadb as mariadb_server
from tests.servers import redis as redis_server
from tests.servers.kafka import FAST_START, Kafka, KafkaAddress
from tests.servers.mariadb import MariaDb, MariaDbAddress
from tests.servers.redis import RedisAddress, RedisSentinel
from vxutils.store.embedded.schema import TOPICS
from vxutils.store.mysql.schema import create
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import Kind

MARIADB_OPTIONS: Final = (
    "--innodb-buffer-pool-size=4G",
    "--innodb-log-file-size=4G",
    "--innodb-io-capacity=1000",
)
"""The pages of 500 tables are written again and again: with a small pool and log to the disk each time."""

KAFKA_OPTIONS: Final = ("-XX:+UseSerialGC", *FAST_START)
"""One of two processors: threads that collect beside the broker gain nothing."""

NICENESS: Final = 5
"""Of servers that share the processors with the engine: clients wait for the engine, not for them."""

_SHOWN_SETTINGS: Final = (
    "version",
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "innodb_flush_method",
    "innodb_buffer_pool_size",
    "innodb_log_file_size",
    "innodb_log_buffer_size",
    "innodb_io_capacity",
    "innodb_autoinc_lock_mode",
    "innodb_checksum_algorithm",
    "log_bin",
    "sync_binlog",
    "transaction_isolation",
    "performance_schema",
)


def missing() -> list[str]:
    """The servers that this machine does not have."""
    return [
        *([] if mariadb_server.program() else ["MariaDB"]),
        *(["Redis"] if redis_server.programs() else []),
        *([] if kafka_server.is_installed() else ["Kafka"]),
    ]


class Servers:
    """Servers that run, with empty databases of their own, empty topics, and number `redis_db` of Redis."""

    def __init__(
        self, mariadb: MariaDbAddress, redis: RedisAddress, kafka: KafkaAddress, redis_db: int = 0
    ) -> None:
        self.mariadb = mariadb
        self.redis = redis
        self.redis_db = redis_db
        self.kafka = kafka
        self.databases = {
            "log": _make_database(mariadb, "log"),
            "history": _make_database(mariadb, "history"),
        }

    def facts(self) -> dict[str, ProcessFacts]:
        """Of each server that was started here, by name; Redis and its sentinels together.

        Raises: OSError when one is gone.
        """
        found = {}
        if isinstance(self.mariadb, MariaDb):
            found["mariadb"] = process_facts(self.mariadb.pid)
        if isinstance(self.kafka, Kafka):
            found["kafka"] = process_facts(self.kafka.pid)
        if isinstance(self.redis, RedisSentinel):
            pids = [one.pid for one in (*self.redis.servers, *self.redis.sentinels)]
            found["redis"] = sum_of([process_facts(pid) for pid in pids])
        return found

    def innodb_settings(self) -> dict[str, str]:
        """What decides about speed and durability, as the server says it."""
        names = ", ".join(f"'{name}'" for name in _SHOWN_SETTINGS)
        rows = self.mariadb.query("mysql", f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
        return {str(name): str(value) for name, value in rows}


@contextmanager
def private_servers(directory: Path) -> Iterator[Servers]:
    """All three in `directory`, started and ended. Raises: ServiceError naming what is not installed, or what
    does not start."""
    if missing():
        raise ServiceError(f"not installed: {', '.join(missing())}; see tests/servers/install")
    places = [directory / name for name in ("m", "r", "k")]
    for place in places:
        place.mkdir(parents=True)
    with ExitStack() as stack:
        try:
            with _niceness(NICENESS):
                mariadb = stack.enter_context(MariaDb(places[0], *MARIADB_OPTIONS))
                redis = stack.enter_context(RedisSentinel(places[1]))
                kafka = stack.enter_context(Kafka(places[2], *KAFKA_OPTIONS))
            kafka.create(*TOPICS)
        except RuntimeError as error:
            raise ServiceError(str(error)) from error
        yield Servers(mariadb, redis, kafka)


@contextmanager
def _niceness(added: int) -> Iterator[None]:
    """What is started within runs at a lower priority; nothing, unless we may come back from it."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if os.geteuid() != 0:
        yield
        return
    os.setpriority(os.PRIO_PROCESS, 0, own + added)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, own)


def _make_database(server: MariaDbAddress, kind: Kind) -> MysqlSettings:
    settings = MysqlSettings(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        name=server.new_database(kind),
    )
    create(settings, kind)
    return settings
