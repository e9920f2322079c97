"""A second of trades through every process on real servers: all is found, and what is missing is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import full_stack, recorded
from bench.process import ProcessFacts
from bench.servers import Servers
from tests.marketprice.redis_states import RedisPlace
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.servers.redis import RedisAddress
from tests.vxutils.store.kafka.topics import make

REDIS_DB = 11


def test_everything_is_counted(
    tmp_path: Path,
    mariadb: MariaDbAddress,
    redis_sentinel: RedisAddress,
    kafka: KafkaAddress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.full_stack.SAMPLE_S", 0.1)
    monkeypatch.setattr("bench.sustained.WARM_UP_S", 0.2)
    make(kafka)
    RedisPlace(redis_sentinel, REDIS_DB)
    servers = Servers(mariadb, redis_sentinel, kafka, REDIS_DB)
    result = full_stack.measure_on(servers, tmp_path, 100, 0.8)
    assert result["is_good"], result
    assert result["trades"] > 50
    assert result["innodb"]["innodb_flush_log_at_trx_commit"] == "1"
    assert {"recorder writer", "recorder-messages writer", "marketprice", "accessws"} <= result["cpu"].keys()
    shown = "\n".join(full_stack.lines(result))
    assert "all is there" in shown and "recorder-messages: " in shown

    wanted = recorded.journal_sums(tmp_path / "data")
    found = recorded.mariadb_sums(servers)
    rows = {name: sums for name, sums in wanted.items() if not name.startswith("topic ")}
    assert not recorded.differences(rows, found)
    name = servers.databases["history"].name
    with mariadb.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE user_deal_history_1 SET deal_id = deal_id + 1 LIMIT 1")
        cursor.execute("DELETE FROM balance_history_2 LIMIT 1")
    wrong = recorded.differences(rows, recorded.mariadb_sums(servers))
    assert [text.partition(":")[0] for text in wrong] == ["balance_history", "user_deal_history"]


def test_processor_time_is_that_of_the_run() -> None:
    before = {"engine": ProcessFacts(1, 2.0), "kafka": ProcessFacts(1, 5.0)}
    after = {"engine": ProcessFacts(1, 2.5), "kafka": ProcessFacts(1, 6.0), "late": ProcessFacts(1, 9.0)}
    assert list(full_stack.us_per_trade(before, after, 1_000).items()) == [
        ("kafka", 1000.0),
        ("engine", 500.0),
    ]
