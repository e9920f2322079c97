"""One exchange, and gateways on two other hosts: without its shared memory and data directory, over a cable.

    here: engine, recorders, marketprice, MySQL, Kafka, Redis   hosts b, c: accesshttp, accessws, readhistory

Both hosts say the same about everything, pushes come to both; one that is cut off says so, disturbs nobody,
and is whole again when its cable is back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.accesshttp.running import Gateway, toml_gateway
from tests.gateways.accessws.running import WsClient, WsGateway, toml_websocket
from tests.gateways.readhistory.running import Service
from tests.marketprice.redis_states import RedisPlace
from tests.marketprice.running import MarketpriceProcess
from tests.marketprice.running import toml_config as price_config
from tests.processes.histories_in_mysql import Exchange, mysql_config, section
from tests.processes.snapshot_exchange import DAY_S, MARKET, QUERIES, limit, sources
from tests.servers.kafka import KafkaAddress
from tests.servers.mariadb import MariaDbAddress
from tests.servers.redis import RedisAddress
from tests.support.hosts import NETWORK, Host, make_hosts
from tests.support.processes import wait_until
from tests.vxutils.store.kafka.topics import make
from tests.vxutils.store.mysql.databases import Pair

DEADLINE_S = 60.0
REDIS_DATABASE = 10
SELLER, BUYER = 1, 2
SUBSCRIPTIONS = (
    ("order.subscribe", [MARKET]),
    ("asset.subscribe", ["BTC", "CNY"]),
    ("depth.subscribe", [MARKET, 5, "0"]),
    ("deals.subscribe", [MARKET]),
    ("price.subscribe", [MARKET]),
)
ALARMING = ("[fatal]", "[error]", "[warn]")


class Outpost:
    """The gateways on one host."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self._directory = directory
        self._listener = f'bind = ["tcp@{host.address}:0"]\nallow_cidrs = ["{NETWORK}", "127.0.0.0/8"]'

    def serve_history(self, pair: Pair, held: ExitStack) -> None:
        config = f'[svr]\nbind = ["tcp@{self.host.address}:0"]\n[monitor]\naddress = ""\n'
        config += '[history]\nstore = "mysql"\n' + section("mysql.history", pair.history)
        self.history = Service("readhistory", self._place("rh"), config)
        held.callback(self.history.end)
        self.host.do(self.history.launch)

    def serve_clients(self, engine: str, prices: str, brokers: str, held: ExitStack) -> None:
        self.history.wait_ready()
        backends = {"marketprice": prices, "readhistory": str(self.history.address())}

        def with_backends(config: str) -> str:
            for name, address in backends.items():
                config = config.replace(
                    f"[{name}]\naddress = []",
                    f'[{name}]\naddress = ["{address}"]\nreconnect_timeout_s = 0.1\nheartbeat_timeout_s = 2',
                )
            return config.replace("[marketprice]", "heartbeat_timeout_s = 2\n[marketprice]")

        config = with_backends(toml_gateway(engine, listener=self._listener))
        self.http = Gateway(self._place("http"), config)
        topics = "".join(f'[{name}]\nbrokers = "{brokers}"\n' for name in ("orders", "balances"))
        config = with_backends(toml_websocket(engine, listener=self._listener, sections=topics))
        self.websocket = WsGateway(self._place("ws"), config)
        self.websocket.data_dir.mkdir(mode=0o700)
        self.token = self.websocket.token(SELLER)
        for gateway in (self.http, self.websocket):
            held.callback(gateway.end)
            self.host.do(gateway.launch)

    def wait_ready(self) -> None:
        for gateway in (self.http, self.websocket):
            self.host.do(gateway.follow)

    def ask(self, method: str, *params: Any) -> Any:
        """The whole answer over HTTP, from a client on that host."""
        with self.host.do(self.http.connect) as client:
            return client.call(method, params).json

    def trader(self) -> WsClient:
        """The seller's connection, on that host, subscribed to everything."""
        client = self.host.do(lambda: self.websocket.client(timeout_s=DEADLINE_S))
        assert client.code("server.auth", self.token, "web") == 0
        for method, params in SUBSCRIPTIONS:
            assert client.code(method, *params) == 0
        return client

    def connected(self) -> set[str]:
        """The backends that its accesshttp has."""
        backends = self.host.do(self.http.health)["facts"]["backends"]
        return {name for name, state in backends.items() if state == "connected"}

    def _place(self, name: str) -> Path:
        place = self._directory / f"{self.host.name}{name}"
        place.mkdir()
        return place


class Spread:
    """The exchange here, and its outposts."""

    def __init__(self, exchange: Exchange, prices: MarketpriceProcess, outposts: list[Outpost]) -> None:
        self.exchange = exchange
        self.prices = prices
        self.outposts = outposts
        self._number = 0

    def fund(self) -> None:
        with self.exchange.engine.client() as client:
            for user in (SELLER, BUYER):
                for asset in ("BTC", "CNY"):
                    assert client.call(102, [user, asset, "deposit", 1, "1000000", {}])["error"] is None

    def trade(self, outpost: Outpost) -> str:
        """A deal at a price of its own, made over that host's HTTP; the price."""
        self._number += 1
        price = str(100 + self._number)
        for user, side in ((SELLER, 1), (BUYER, 2)):
            answer = outpost.ask("order.put_limit", *limit(user, side, "1", price))
            assert answer["error"] is None, answer
        return price


@pytest.fixture(scope="module")
def spread(
    tmp_path_factory: pytest.TempPathFactory,
    mariadb: MariaDbAddress,
    kafka: KafkaAddress,
    redis_sentinel: RedisAddress,
) -> Iterator[Spread]:
    directory = tmp_path_factory.mktemp("spread")
    make(kafka)
    with make_hosts("bc") as hosts, ExitStack() as held:
        for host in hosts:
            for server in (mariadb.port, int(kafka.brokers.rpartition(":")[2])):
                host.reach(server)
        pair = Pair(mariadb)
        outposts = [Outpost(host, directory) for host in hosts]
        for outpost in outposts:
            outpost.serve_history(pair, held)
        places = list(dict.fromkeys(f"tcp@{host.here}:0" for host in hosts))
        exchange = Exchange(directory, mysql_config(pair, kafka.brokers, bind=places))
        held.callback(exchange.engine.end)
        engine = exchange.engine.start()
        engine.write_config(mysql_config(pair, kafka.brokers, bind=list(map(str, engine.addresses))))
        for recorder in (exchange.history, exchange.messages):
            held.callback(recorder.end)
            recorder.launch()
        (directory / "price").mkdir()
        config = price_config(wire_style="plain", market_source=str(engine.addresses[0]))
        config = config.replace(
            '"tcp@127.0.0.1:0", "udp@127.0.0.1:0"', ", ".join(f'"{one}"' for one in places)
        )
        config += f'[deals]\nbrokers = "{kafka.brokers}"\n' + RedisPlace(redis_sentinel, REDIS_DATABASE).toml
        prices = held.enter_context(MarketpriceProcess(directory / "price", config))
        for index, outpost in enumerate(outposts):
            doors = [addresses[index % len(places)] for addresses in (engine.addresses, prices.addresses)]
            outpost.serve_clients(*map(str, doors), kafka.brokers, held)
        for outpost in outposts:
            outpost.wait_ready()
        found = Spread(exchange, prices, outposts)
        found.fund()
        yield found


def wait_for(outpost: Outpost, method: str, params: tuple[Any, ...], is_right: Any) -> Any:
    """The result over HTTP once it is right."""
    answers: list[Any] = []

    def ask() -> bool:
        answers[:] = [outpost.ask(method, *params)]
        return answers[0]["error"] is None and bool(is_right(answers[0]["result"]))

    wait_until(ask, f"{method} on host {outpost.host.name}", DEADLINE_S)
    return answers[0]["result"]


def test_both_hosts_answer_alike(spread: Spread) -> None:
    price = Decimal(spread.trade(spread.outposts[0]))
    spread.outposts[1].ask("order.put_limit", *limit(SELLER, 1, "3", "500"))
    now_s = int(time.time())
    asked = {
        ("order.depth", (MARKET, 5, "0")): lambda found: Decimal(found["asks"][0][0]) == 500,
        ("order.pending", (SELLER, MARKET, 0, 10)): lambda found: found["total"] == 1,
        ("market.last", (MARKET,)): lambda found: Decimal(found) == price,
        ("market.deals", (MARKET, 10, 0)): lambda found: Decimal(found[0]["price"]) == price,
        ("market.kline", (MARKET, now_s - DAY_S, now_s, DAY_S)): lambda found: Decimal(found[-1][2]) == price,
        ("order.finished", (SELLER, MARKET, 0, 0, 0, 10)): lambda found: (
            Decimal(found["records"][0]["price"]) == price
        ),
        ("market.user_deals", (BUYER, MARKET, 0, 10)): lambda found: len(found["records"]) == 1,
        ("balance.history", (BUYER, "BTC", "", 0, 0, 0, 10)): lambda found: len(found["records"]) == 2,
    }
    for (method, params), is_right in asked.items():
        one, other = (wait_for(outpost, method, params, is_right) for outpost in spread.outposts)
        for found in (one, other):
            if isinstance(found, dict):
                found.pop("as_of", None)  # the history goes on meanwhile
        assert one == other


def test_pushes_come_to_both_hosts(spread: Spread) -> None:
    traders = [outpost.trader() for outpost in spread.outposts]
    try:
        for outpost in spread.outposts:
            price = Decimal(spread.trade(outpost))
            for trader in traders:
                assert_told(trader, price)
            outpost.ask("order.put_limit", *limit(SELLER, 1, "2", str(price + 200)))
            for trader in traders:
                comes(trader, "depth.update", lambda found: has_ask(found, price + 200))  # noqa: B023
    finally:
        for trader in traders:
            trader.connection.close()


def comes(trader: WsClient, method: str, is_it: Any) -> None:
    """Waits for such a push; those before it are passed over."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_it(trader.push(method)["params"]):
        assert time.monotonic() < deadline, (method, trader.pushes)


def has_ask(depth: Any, price: Decimal) -> bool:
    return any(Decimal(level[0]) == price for level in depth[1].get("asks", []))


def assert_told(trader: WsClient, price: Decimal) -> None:
    """Everything about a deal at that price comes."""
    comes(trader, "order.update", lambda found: found[0] == 3 and Decimal(found[1]["price"]) == price)
    comes(trader, "asset.update", lambda found: "CNY" in found[0])
    comes(trader, "deals.update", lambda found: any(Decimal(deal["price"]) == price for deal in found[1]))
    comes(trader, "price.update", lambda found: Decimal(found[1]) == price)


def test_without_shared_memory_the_services_are_asked_and_nobody_is_alarmed(spread: Spread) -> None:
    for outpost in spread.outposts:
        for query in QUERIES:
            assert outpost.ask(*query)["error"] is None
        used = outpost.host.do(lambda outpost=outpost: sources(outpost.http))  # type: ignore[misc]
        assert used and set(used.values()) == {"rpc"}
        for gateway in (outpost.http, outpost.websocket):
            alarming = [
                line for line in gateway.stderr.splitlines() if any(word in line for word in ALARMING)
            ]
            # While they start, one may look for the other too early.
            assert [line for line in alarming if "not connected: " not in line] == []


def test_a_host_that_is_cut_off_comes_back(spread: Spread) -> None:
    cut, other = spread.outposts
    if not cut.host.has_cable:
        pytest.skip("network namespaces need root")
    with cut.trader() as far, other.trader() as near:
        cut.host.unplug()
        assert cut.ask("order.depth", MARKET, 5, "0")["error"] is not None
        price = Decimal(spread.trade(other))
        assert_told(near, price)
        wait_until(lambda: cut.connected() == {"readhistory"}, "the loss to be seen", DEADLINE_S)
        assert other.connected() == {"matchengine", "marketprice", "readhistory"}
        cut.host.plug()
        wait_until(lambda: cut.connected() == other.connected(), "the backends", DEADLINE_S)
        wait_for(cut, "order.finished", (SELLER, MARKET, 0, 0, 0, 10), lambda found: found["records"])
        assert_told(far, price)  # also what happened meanwhile: the topics have kept it
        assert_told(far, Decimal(spread.trade(cut)))


def test_all_gateways_find_a_restarted_engine(spread: Spread) -> None:
    traders = [outpost.trader() for outpost in spread.outposts]
    try:
        engine = spread.exchange.engine
        assert engine.terminate() == 0
        for outpost in spread.outposts:
            assert outpost.ask("order.depth", MARKET, 5, "0")["error"] is not None
        engine.start()
        for outpost, trader in zip(spread.outposts, traders, strict=True):
            wait_for(outpost, "order.depth", (MARKET, 5, "0"), lambda found: found["asks"])
            price = Decimal(spread.trade(outpost))
            assert_told(trader, price)
    finally:
        for trader in traders:
            trader.connection.close()
