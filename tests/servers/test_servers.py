"""The servers of the tests themselves: each starts, takes a write and can be killed; Redis fails over."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.servers.fixtures import SMALL_DISK, need
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDb, MariaDbAddress
from tests.servers.redis import RedisSentinel
from tests.servers.small_disk import SmallDisk


def test_each_database_is_a_new_one(mariadb: MariaDbAddress) -> None:
    names = [mariadb.new_database(), mariadb.new_database()]
    for name in names:
        with mariadb.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (id INT PRIMARY KEY)")
            cursor.execute("INSERT INTO t VALUES (1)")
    assert [mariadb.query(name, "SELECT id FROM t") for name in names] == [[(1,)], [(1,)]]


def test_a_killed_database_keeps_what_was_committed(tmp_path: Path) -> None:
    need("MariaDB")
    with MariaDb(tmp_path) as server:
        name = server.new_database()
        with server.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (id INT PRIMARY KEY)")
            cursor.execute("INSERT INTO t VALUES (7)")
        server.kill()
        server.start()
        assert server.query(name, "SELECT id FROM t") == [(7,)]


def test_a_replica_takes_the_place_of_a_killed_master(tmp_path: Path) -> None:
    need("Redis")
    with RedisSentinel(tmp_path) as servers:
        first = servers.master()
        first.set("k", "v")
        assert first.execute_command("WAIT", 1, 5000) == 1
        servers.fail_over()
        assert servers.master().get("k") == "v"


def test_a_topic_is_read_back_trimmed_and_deleted(kafka: KafkaAddress) -> None:
    kafka.create("servers-test")
    producer = Producer({"bootstrap.servers": kafka.brokers})
    for text in ("a", "b", "c"):
        producer.produce("servers-test", text.encode())
    assert producer.flush(20) == 0
    assert [message.value() for message in kafka.messages("servers-test")] == [b"a", b"b", b"c"]
    kafka.trim("servers-test", 2)
    assert [message.offset() for message in kafka.messages("servers-test")] == [2]
    kafka.delete("servers-test")


def test_a_full_disk_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    need(SMALL_DISK)
    with SmallDisk(tmp_path / "disk", 2) as disk:
        file = disk.directory / "file"
        disk.fill()
        assert disk.free_bytes == 0
        with pytest.raises(OSError, match="No space left"):
            file.write_bytes(b"x")
        disk.make_room()
        file.write_bytes(b"x")
    assert not (tmp_path / "disk").is_mount()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VX_TEST_KAFKA_JARS", "/nowhere")
    monkeypatch.setenv("VX_TEST_SERVERS", "required")
    with pytest.raises(pytest.fail.Exception, match=r"Kafka is not installed .*tests/servers/install"):
        need("Kafka")
    monkeypatch.setenv("VX_TEST_SERVERS", "")
    with pytest.raises(pytest.skip.Exception, match=r"Kafka is not installed"):
        need("Kafka")
