"""A whole exchange on real servers, trading all the time, and the ways in which each server can fail.

    HTTP client --> accesshttp --> engine --journal--> recorder           --> MariaDB       --> readhistory
                        |                              recorder-messages  --> Kafka --> marketprice --> Redis
                        '--> marketprice, readhistory

`World` owns all processes. `World.way` gives one way to fail: how it begins and how it ends.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from tests.gateways.accesshttp.running import Gateway
from tests.gateways.readhistory.running import Service
from tests.marketprice.redis_states import RedisPlace, texts_of
from tests.marketprice.running import MarketpriceProcess
from tests.marketprice.running import toml_config as marketprice_config
from tests.processes.hasty_marketprice import HastyMarketprice
from tests.processes.histories_in_mysql import Exchange, mysql_config, section
from tests.processes.journal_says import Truth, check_kafka, check_mysql
from tests.processes.recorders import RecorderProcess
from tests.servers.fixtures import SMALL_DISK, need
from tests.servers.kafka import Kafka
from tests.servers.mariadb import MariaDb
from tests.servers.redis import RedisSentinel
from tests.servers.slow import Slow
from tests.servers.small_disk import SmallDisk, may_mount
from tests.support.processes import wait_until
from tests.vxutils.store.kafka.topics import make
from tests.vxutils.store.mysql.databases import Pair
from vxnet.address import Address
from vxutils.client import Client

MARKET, SELLERS, BUYERS = "BTCCNY", (1, 2, 3), (4, 5, 6)
DEPOSIT = "1000000000"
AMOUNT = "0.01"
ANSWER_S: Final = 5.0
"""The slowest answer that is allowed, on a machine with two processors for all of this."""

PATIENCE_S: Final = 90.0
MYSQL_MB, KAFKA_MB = 400, 64
SOAK_MYSQL_MB, SOAK_KAFKA_MB = 1_500, 600
FAT_DETAIL = {"note": "x" * 4_000}
FAT_DEPOSITS = 100


class Way(NamedTuple):
    """How a server fails. `is_gone`: it refuses everybody meanwhile. `is_noticed`: whoever writes to it
    raises an alarm; else it may be over before."""

    begin: Callable[[], None]
    end: Callable[[], None]
    is_noticed: bool = True
    is_gone: bool = False


class Trader:
    """One client that trades without a pause for `pause_s` each; every command must succeed, soon."""

    def __init__(self, url: str, pause_s: float) -> None:
        self.deals = 0
        self.slowest_s = 0.0
        self._pause_s = pause_s
        self._client = Client(url, timeout_s=2 * ANSWER_S)
        self._failure: BaseException | None = None
        self._is_leaving = False
        self._thread = threading.Thread(target=self._run, name="trader")
        self._thread.start()

    def stop(self) -> None:
        """Raises what went wrong."""
        self._is_leaving = True
        self._thread.join(PATIENCE_S)
        self._client.close()
        self.check()

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_leaving:
                price = str(60_000 + self.deals % 50)
                for side, users in ((1, SELLERS), (2, BUYERS)):
                    user = users[self.deals % len(users)]
                    begun = time.monotonic()
                    order = (user, MARKET, side, AMOUNT, price, "0.002", "0.001", "outage")
                    self._client.call("order.put_limit", *order)
                    self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
                self.deals += 1
                time.sleep(self._pause_s)
        except BaseException as error:
            self._failure = error


class World:
    """Everything that runs. `is_hasty`: for outages of seconds."""

    def __init__(self, directory: Path, is_hasty: bool) -> None:
        self._directory = directory
        self._is_hasty = is_hasty
        self._held = ExitStack()
        self._numbers = 0

    def __enter__(self) -> World:
        with ExitStack() as held:
            self._start(held)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _start(self, held: ExitStack) -> None:
        for name in ("MariaDB", "Redis", "Kafka"):
            need(name)
        mysql_mb, kafka_mb = (MYSQL_MB, KAFKA_MB) if self._is_hasty else (SOAK_MYSQL_MB, SOAK_KAFKA_MB)
        self.disks = {
            name: held.enter_context(SmallDisk(self._directory / name, size))
            for name, size in (("m", mysql_mb), ("k", kafka_mb))
            if may_mount()
        }
        for name in ("m", "k", "r", "e", "p", "h", "g"):
            (self._directory / name).mkdir(exist_ok=True)
        self.mariadb = held.enter_context(
            MariaDb(self._directory / "m", "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M")
        )
        self.redis = held.enter_context(RedisSentinel(self._directory / "r"))
        self.kafka = Kafka(self._directory / "k")
        with (self._directory / "k" / "server.properties").open("a") as properties:
            # A killed broker may come back only when its session is over.
            properties.write("broker.session.timeout.ms=1500\nbroker.heartbeat.interval.ms=300\n")
        held.enter_context(self.kafka)
        make(self.kafka)
        self.pair = Pair(self.mariadb, timeout_s=1.0)
        self.place = RedisPlace(self.redis, 0)

        self.exchange = made = Exchange(self._directory / "e", mysql_config(self.pair, self.kafka.brokers))
        held.enter_context(made.engine)
        held.enter_context(made.history)
        held.enter_context(made.messages)
        self.recorders: dict[str, RecorderProcess] = {"mariadb": made.history, "kafka": made.messages}
        engine = made.engine.address("tcp")
        deals = f'[deals]\nbrokers = "{self.kafka.brokers}"\n'
        settings = marketprice_config(market_source=str(engine)) + deals + self.place.toml
        kind = HastyMarketprice if self._is_hasty else MarketpriceProcess
        self.marketprice = held.enter_context(kind(self._directory / "p", settings))
        settings = 'worker_num = 2\nquery_timeout_s = 1.0\n[history]\nstore = "mysql"\n'
        settings += '[svr]\nbind = ["tcp@127.0.0.1:0"]\n[monitor]\naddress = "tcp@127.0.0.1:0"\n'
        settings += section("mysql.history", self.pair.history)
        self.readhistory = held.enter_context(Service("readhistory", self._directory / "h", settings))
        settings = f'timeout_s = {ANSWER_S}\n[[listener]]\nbind = ["tcp@127.0.0.1:0"]\n'
        settings += '[monitor]\naddress = "tcp@127.0.0.1:0"\n'
        places = {
            "matchengine": engine,
            "marketprice": next(one for one in self.marketprice.addresses if one.kind == "tcp"),
            "readhistory": self.readhistory.address("tcp"),
        }
        settings += "".join(f'[{name}]\naddress = ["{place}"]\n' for name, place in places.items())
        self.gateway = held.enter_context(Gateway(self._directory / "g", settings))
        (listening,) = self.gateway.addresses
        self.url = f"http://{listening.host}:{listening.port}"
        self.truth = Truth(made.engine.data_dir, self._directory / "truth.db")
        for user in SELLERS + BUYERS:
            for asset in ("BTC", "CNY"):
                self.deposit(user, asset, DEPOSIT, {})

    # -- what happens --------------------------------------------------------------------------

    def deposit(self, user: int, asset: str, amount: str, detail: dict[str, str]) -> None:
        self._numbers += 1
        with self.exchange.engine.client("tcp") as client:
            reply = client.call(102, [user, asset, "deposit", self._numbers, amount, detail])
        assert reply["error"] is None, reply

    def trade(self, pause_s: float) -> Trader:
        return Trader(self.url, pause_s)

    def way(self, server: str, how: str) -> Way:
        """Skips the test where it can not be done."""
        if how == "filled" and server != "redis":
            need(SMALL_DISK)
        return self._ways()[server][how]

    def _ways(self) -> dict[str, dict[str, Way]]:
        mariadb, kafka, redis = self.mariadb, self.kafka, self.redis
        return {
            "mariadb": {
                "stopped": Way(mariadb.stop, mariadb.start, is_gone=True),
                "killed": Way(mariadb.kill, mariadb.start, is_gone=True),
                "slowed": self._slowly(mariadb.suspend, mariadb.go_on),
                "filled": Way(self._fill_mariadb, self._empty_mariadb),
                "failed over": Way(lambda: _again(mariadb.kill, mariadb.start), _nothing, is_noticed=False),
                "hung": Way(mariadb.suspend, mariadb.go_on),
            },
            "kafka": {
                "stopped": Way(kafka.stop, kafka.start, is_gone=True),
                "killed": Way(kafka.kill, kafka.start, is_gone=True),
                "slowed": self._slowly(kafka.suspend, kafka.go_on),
                "filled": Way(lambda: self.disks["k"].fill(), self._empty_kafka),
                "failed over": Way(lambda: _again(kafka.stop, kafka.start), _nothing, is_noticed=False),
            },
            "redis": {
                "stopped": Way(redis.stop_servers, redis.start_servers),
                "killed": Way(redis.kill_servers, redis.start_servers),
                "slowed": self._slowly(redis.suspend, redis.go_on),
                "filled": Way(redis.fill, redis.make_room),
                "failed over": Way(redis.fail_over, redis.start_servers, is_noticed=False),
            },
        }

    def _slowly(self, suspend: Callable[[], None], go_on: Callable[[], None]) -> Way:
        slow = Slow(suspend, go_on)
        return Way(slow.begin, slow.end, is_noticed=False)

    def _fill_mariadb(self) -> None:
        """Tables have some room of their own: it is used up by long rows."""
        self.disks["m"].fill()
        for number in range(FAT_DEPOSITS):
            self.deposit(SELLERS[number % 3], "BTC", "1", FAT_DETAIL)

    def _empty_mariadb(self) -> None:
        """A server whose disk was full has ended by itself, or not."""
        self.disks["m"].make_room()
        if not self.mariadb.is_running:
            self.mariadb.start()

    def _empty_kafka(self) -> None:
        """A broker whose disk is full ends by itself."""
        self.disks["k"].make_room()
        self.kafka.kill()
        self.kafka.start()

    # -- what can be seen ----------------------------------------------------------------------

    def health(self, server: str) -> dict[str, Any]:
        """Of the process that writes to this server."""
        found: dict[str, Any] = json.loads(get(self._monitor(server), "/health"))
        return found

    def metrics(self, server: str) -> str:
        return get(self._monitor(server), "/metrics")

    def alarms(self, server: str) -> tuple[int, int]:
        """How often the process that writes to this server has raised an alarm, and taken it back."""
        if server == "redis":
            log, words = self.marketprice.stderr, ("data can not be saved", "data are saved again")
        else:
            log, name = self.recorders[server].stderr, {"mariadb": "MySQL", "kafka": "Kafka"}[server]
            words = (f"{name} can not be written", "the history is written again")
        fatal = [line for line in log.splitlines() if "[fatal]" in line]
        raised, taken_back = (sum(one in line for line in fatal) for one in words)
        return raised, taken_back

    def reads_history(self) -> bool:
        """Whether readhistory is well, and the alarm, if it raised one, was taken back."""
        log = self.readhistory.log
        is_calm = log.rfind("a query failed") <= log.rfind("history can be read again")
        return self.readhistory.health()["status"] == "ok" and is_calm

    def waiting(self, server: str) -> int:
        """Records, or messages, that are not written there."""
        if server == "redis":
            facts = self.health("redis")["facts"]
            return int(facts["offset"] - facts["saved_offset"])
        state = self.recorders[server].state
        assert state is not None
        return state.lag_records

    def has_caught_up(self, server: str) -> bool:
        health = self.health(server)
        return health["status"] == "ok" and self.waiting(server) == 0

    def can_read(self, method: str, *parameters: Any) -> bool:
        """Whether a query over the gateway is answered well."""
        body = json.dumps({"id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=2 * ANSWER_S) as answer:
                return json.loads(answer.read())["error"] is None
        except OSError:
            return False

    def check_all(self) -> None:
        """Rows, messages and candles are what the journal says, the latter soon. Nobody trades any more."""
        self.truth.renew()
        check_mysql(self.truth, self.pair)
        check_kafka(self.truth, self.kafka)
        expected = self.truth.market_data
        wait_until(lambda: texts_of(self.place.load()[0]) == expected, "the market data", PATIENCE_S)

    @property
    def shown(self) -> str:
        """What everybody has to say, when something went wrong."""
        parts = [recorder.output for recorder in self.recorders.values()]
        parts += [self.marketprice.output, self.readhistory.output, self.exchange.engine.output]
        for name in ("mariadb", "kafka", "redis"):
            try:
                parts.append(f"{name}: {self.health(name)}")
            except OSError as error:
                parts.append(f"{name}: {error}")
        return "\n".join(parts)

    def _monitor(self, server: str) -> Address:
        if server == "redis":
            assert self.marketprice.monitor is not None
            return self.marketprice.monitor
        return self.recorders[server].monitor


def get(address: Address, path: str) -> str:
    with urllib.request.urlopen(f"http://{address.host}:{address.port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _again(end: Callable[[], None], begin: Callable[[], None]) -> None:
    end()
    begin()


def _nothing() -> None:
    """It is back already."""
