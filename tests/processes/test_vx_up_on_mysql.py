"""`vx up` with an engine on MySQL and Kafka: both recorders, and everybody looks where the engine writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateways.cli.running import VxUp
from tests.processes.histories_in_mysql import mysql_config
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.support.processes import wait_until
from tests.vxutils.store.kafka.topics import make
from tests.vxutils.store.mysql.databases import Pair, fresh
from vxutils.client import Client
from vxutils.protocol import commands


@pytest.fixture
def pair(mariadb: MariaDbAddress) -> Iterator[Pair]:
    yield from fresh(Pair(mariadb))


def trade(up: VxUp) -> None:
    for user, asset in ((8, "CNY"), (9, "BTC")):
        up.call(commands.BALANCE_UPDATE, [user, asset, "deposit", user, "100000", {}])
    up.call(commands.ORDER_PUT_LIMIT, [9, "BTCCNY", 1, "1", "8000", "0", "0", "test"])
    up.call(commands.ORDER_PUT_LIMIT, [8, "BTCCNY", 2, "1", "8000", "0", "0", "test"])


def test_everything_is_where_the_engines_settings_say(
    tmp_path: Path, pair: Pair, kafka: KafkaAddress
) -> None:
    make(kafka)
    (tmp_path / "c.toml").write_text(mysql_config(pair, kafka.brokers))
    with VxUp(tmp_path, "--config", "c.toml") as up:
        up.wait_for_line("Ctrl-C stops everything")
        up.wait_for_line("recorder-messages ready: monitor ")
        up.call(commands.BALANCE_UPDATE, [7, "BTC", "deposit", 70, "1.5", {}])
        with Client(up.url) as client:

            def changes() -> list[str]:
                found = client.call("balance.history", 7, "BTC", "", 0, 0, 0, 10)
                return [record["change"] for record in found["records"]]

            wait_until(lambda: changes() == ["1.5"], "the row in the database")
        trade(up)
        with Client(up.url) as client:
            wait_until(lambda: client.call("market.last", "BTCCNY") == "8000", "the deal of the topic")
        assert up.stop() == 0
        stopped = [line for line in up.stdout.splitlines() if line.endswith(" stopped")]
        assert stopped[-3:] == ["recorder-messages stopped", "recorder stopped", "alertcenter stopped"]
        for name in ("readhistory", "marketprice"):
            settings = tmp_path / "vx-data" / "up" / f"{name}.toml"
            assert pair.history.name in settings.read_text()
            assert settings.stat().st_mode & 0o077 == 0, "it may hold a password"
    assert (
        len([row for rows in pair.families()["balance_history"].values() for row in rows if row[1] == 7]) == 1
    )
