"""The files of etc/production, with the addresses of the tests' servers.

The servers take theirs; an exchange started from the settings trades, keeps history, makes candles, pushes.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisError

from gateways.cli.programs import CONFIGURED, ENGINE
from tests.gateways.cli.running import VxUp, free_port_offset, vx
from tests.processes.test_websocket_pushes import Trader
from tests.servers import mariadb as mariadb_server
from tests.servers.fixtures import need
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.servers.process import ServerProcess, free_ports
from tests.servers.redis import RedisAddress
from tests.support.processes import wait_until
from tests.vxutils.store.kafka.topics import make
from vxutils.client import Client, ExchangeError
from vxutils.store.embedded.schema import TOPICS

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = ROOT / "etc" / "production"
COMPOSE = (ROOT / "docker-compose.yml").read_text()
MARKET = "BTCUSDT"
PASSWORD = "a'password"
HTTP_TOKEN = "0123456789abcdef0123456789abcdef"
DATABASES = ("trade_log", "trade_history")
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisAddress]:
    """A master and a sentinel with passwords, from the files."""
    need("Redis")
    directory = tmp_path_factory.mktemp("r")
    port, sentinel_port = free_ports(2)
    secret = f'"{PASSWORD}"'
    texts = {
        "server": f"requirepass {secret}\nport {port}\n",
        "sentinel": f"requirepass {secret}\nsentinel auth-pass mymaster {secret}\nport {sentinel_port}\n",
    }
    address = RedisAddress("mymaster", [("127.0.0.1", sentinel_port)])
    with ExitStack() as held:
        for name, more in texts.items():
            text = (PRODUCTION / f"{'redis' if name == 'server' else name}.conf").read_text()
            text = text.replace("mymaster redis 6379 2", f"mymaster 127.0.0.1 {port} 1")
            config = directory / f"{name}.conf"
            config.write_text(f"{text}dir {directory}\nbind 127.0.0.1\n{more}")
            place = ("127.0.0.1", port if name == "server" else sentinel_port)
            process = ServerProcess(
                name,
                directory,
                [f"redis-{name}", str(config)],
                lambda place=place: answers(place),  # type: ignore[misc]
                ready_timeout_s=DEADLINE_S,
            )
            held.callback(process.kill)
            process.start()
        yield address


def answers(place: tuple[str, int]) -> bool:
    client: Any = Redis(*place, password=PASSWORD, socket_timeout=3)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


@pytest.fixture
def databases(mariadb: MariaDbAddress) -> Iterator[dict[str, str]]:
    """Of `mariadb.sql`, under names of their own."""
    names = {name: mariadb.new_database(name) for name in DATABASES}
    statements = (PRODUCTION / "mariadb.sql").read_text()
    for name, own in names.items():
        statements = statements.replace(name, own)
    password = PASSWORD.replace("'", "''")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER vx@'%' IDENTIFIED BY '{password}'")
        for statement in re.sub("--.*", "", statements).split(";"):
            if statement.strip():
                cursor.execute(statement)
        yield names
        cursor.execute("DROP USER vx@'%'")


def test_an_exchange_serves(
    tmp_path: Path,
    mariadb: MariaDbAddress,
    kafka: KafkaAddress,
    redis: RedisAddress,
    databases: dict[str, str],
) -> None:
    make(kafka)
    (sentinel,) = redis.sentinel_places
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, secret in (("mysql", PASSWORD), ("redis", PASSWORD), ("http", HTTP_TOKEN)):
        (secrets / name).write_text(secret + "\n")
    replaced = {
        'host = "mariadb"': f'host = "{mariadb.host}"\nport = {mariadb.port}',
        '"kafka:9092"': secured(kafka, secrets),
        '"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"': f'"127.0.0.1:{sentinel[1]}"',
        "/run/secrets": str(secrets),
        **databases,
    }
    words: list[object] = ["--port-offset", free_port_offset()]
    for program in CONFIGURED:
        text = (PRODUCTION / f"{program.name}.toml").read_text()
        for old, new in replaced.items():
            text = text.replace(old, new)
        path = tmp_path / f"{program.name}.toml"
        path.write_text(text)
        words += ["--config" if program is ENGINE else f"--{program.name}-config", path]
    made = vx("db", "init", tmp_path / "matchengine.toml", cwd=tmp_path)
    assert made.returncode == 0, made
    with VxUp(tmp_path, *words) as up:
        wait_until(lambda: "Ctrl-C stops everything" in up.stdout, f"all processes {up.stderr}", DEADLINE_S)
        with Client(up.url) as stranger, pytest.raises(ExchangeError, match="require authentication"):
            stranger.call("market.list")
        token = vx("token", "add", 1, "--data-dir", up.data_directory, cwd=tmp_path).stdout
        url = str(up.address("accessws listener ready: ")).replace("tcp@", "ws://")
        with Client(up.url, token=HTTP_TOKEN) as client, Trader(url) as trader:
            login = next(word for word in token.split() if word.startswith("vxt_"))
            is_known = functools.partial(trader.call, "server.auth", login, "test")
            wait_until(lambda: is_known()["error"] is None, "log-in", DEADLINE_S)
            assert trader.call("order.subscribe", MARKET)["error"] is None
            trade(client)
            for found in (
                lambda: client.call("market.user_deals", 2, MARKET, 0, 10)["records"],
                lambda: Decimal(client.call("market.last", MARKET)) == 61_000,
                lambda: [event for event, _ in trader.of("order.update")] == [1, 3],
            ):
                wait_until(lambda: bool(answer(found)), "the trade everywhere", DEADLINE_S)  # noqa: B023
        assert up.stop() == 0


def secured(kafka: KafkaAddress, secrets: Path) -> str:
    """The brokers, over TLS and with a login if they are ours; without, if they run elsewhere."""
    door = kafka.secure
    if door is None:
        return f'"{kafka.brokers}"'
    (secrets / "kafka").write_text(door.password + "\n")
    tls = f'tls = {{ca = "{door.certificate.certificate}"}}'
    login = f'user = "{door.user}", password_file = "{secrets}/kafka", mechanism = "PLAIN", {tls}'
    return f'"{door.brokers}"\nlogin = {{{login}}}'


def trade(client: Client) -> None:
    for user in (1, 2):
        for asset in ("BTC", "USDT"):
            client.call("balance.update", user, asset, "deposit", 1, "1000000", {})
    client.call("order.put_limit", 1, MARKET, 1, "0.5", "61000", "0", "0", "test")
    client.call("order.put_limit", 2, MARKET, 2, "0.5", "61000", "0", "0", "test")


def answer(ask: Any) -> Any:
    """None while whoever knows it is not ready."""
    try:
        return ask()
    except ExchangeError:
        return None


def test_the_servers_of_the_settings_are_those_of_the_containers() -> None:
    services = set(
        re.findall(r"^  ([a-z0-9-]+):(?: &\w+)?$", COMPOSE.partition("\nsecrets:")[0], flags=re.MULTILINE)
    )
    texts = [path.read_text() for path in PRODUCTION.glob("*.toml")]
    hosts = {host for text in texts for host in re.findall(r'host = "([^"]+)"', text)}
    hosts |= {host for text in texts for host in re.findall(r'"([a-z0-9-]+):\d+"', text)}
    assert {"mariadb", "kafka", "sentinel-1", "sentinel-2", "sentinel-3"} == hosts <= services
    secrets = {name for text in texts for name in re.findall(r"/run/secrets/(\w+)", text)}
    (given,) = re.findall(r"build: \.\n    secrets: \[([a-z, ]+)\]", COMPOSE)
    assert secrets == set(given.split(", "))
    published = {int(port) for port in re.findall(r'"127\.0\.0\.1:\d+:(\d+)"', COMPOSE)}
    assert published == {int(port) for text in texts for port in re.findall(r"tcp@0\.0\.0\.0:(\d+)", text)}


def test_mariadb_takes_its_file() -> None:
    need("MariaDB")
    command = [
        mariadb_server.program(),
        f"--defaults-file={PRODUCTION / 'mariadb.cnf'}",
        "--help",
        "--verbose",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    assert re.search(r"^innodb-flush-log-at-trx-commit +1$", done.stdout, flags=re.MULTILINE)


def test_topics_have_one_partition(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    tool.chmod(0o755)
    script = PRODUCTION / "kafka-topics.sh"
    subprocess.run(["sh", script, "broker:9092", "3"], check=True, env={"KAFKA_TOPICS": str(tool)})
    asked = (tmp_path / "asked").read_text().splitlines()
    assert sorted(TOPICS) == sorted(re.search(r"--topic (\w+)", line)[1] for line in asked)  # type: ignore[index]
    for line in asked:
        assert "--partitions 1 --replication-factor 3" in line and "min.insync.replicas=2" in line
