"""Fixtures: one instance of each server per test run, started when the first test asks for it.

A server that is not installed skips its tests, loudly: the end of the run names them and how to get it.
With VX_TEST_SERVERS=required they fail instead (continuous integration). VX_TEST_MYSQL
(`user:password@host:port`), VX_TEST_REDIS (`name@host:port,host:port`) and VX_TEST_KAFKA (`host:port`) name
servers that run already; tests that stop and kill a server always start their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import kafka as kafka_server
from tests.servers import mariadb as mariadb_server
from tests.servers import redis as redis_server
from tests.servers.kafka import Kafka, KafkaAddress
from tests.servers.mariadb import MariaDb, MariaDbAddress
from tests.servers.redis import RedisAddress, RedisSentinel
from tests.servers.small_disk import may_mount
from tests.support import chromium

MYSQL, REDIS, KAFKA = "VX_TEST_MYSQL", "VX_TEST_REDIS", "VX_TEST_KAFKA"
HOW = "tests/servers/install installs what is missing"
SMALL_DISK = "A small disk"


def not_here() -> dict[str, str]:
    """The servers, and the browser, that tests can not start on this machine, each with what is missing."""
    missing: dict[str, str] = {}
    if mariadb_server.program() is None:
        missing["MariaDB"] = "package mariadb-server"
    if redis_server.programs():
        missing["Redis"] = "packages redis-server, redis-sentinel"
    if not kafka_server.is_installed():
        missing["Kafka"] = f"Java 17 and the broker in {kafka_server.jars()}"
    if chromium.program() is None:
        missing["Chromium"] = "package chromium"
    if not may_mount():
        missing[SMALL_DISK] = "root, with the right to mount"
    return missing


def need(name: str) -> None:
    """Skips or fails the test that asks for a server which is not installed."""
    reason = not_here().get(name)
    if reason is None:
        return
    sentence = f"{name} is not installed ({reason}): {HOW}"
    if os.environ.get("VX_TEST_SERVERS") == "required" and name != SMALL_DISK:
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDbAddress]:
    if MYSQL in os.environ:
        running = mariadb_server.address(os.environ[MYSQL])
        yield running
        running.drop_databases()
        return
    need("MariaDB")
    with MariaDb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisAddress]:
    if REDIS in os.environ:
        yield redis_server.address(os.environ[REDIS])
        return
    need("Redis")
    with RedisSentinel(tmp_path_factory.mktemp("redis")) as servers:
        yield servers


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaAddress]:
    if KAFKA in os.environ:
        yield KafkaAddress(os.environ[KAFKA])
        return
    need("Kafka")
    with Kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
