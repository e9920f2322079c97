"""Gateways beside the real services answer from shared memory what these would answer, whoever dies."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.accesshttp.running import post
from tests.processes.snapshot_exchange import MARKET, QUERIES, Exchange, done, limit, sources
from tests.support.processes import wait_until
from tests.support.ring_leftovers import remove_rings

ROOT = Path(__file__).parents[2]
NO_SNAPSHOT = "no_snapshot"
ORDERS = 100


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    yield
    remove_rings(tmp_path)


def test_a_client_sees_his_own_order(tmp_path: Path) -> None:
    """Over any connection, on any worker, as soon as he has the answer."""
    seed = int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6)))
    print(f"VX_SEED={seed}")
    with ExitStack() as held:
        exchange = Exchange(tmp_path, held, has_prices=False)
        gateway = exchange.http(worker_num=2)
        users = range(1, 4)
        exchange.fund(*users)
        failures: list[str] = []

        def trade(user: int) -> None:
            """Each has a price of his own, below all others' asks."""
            chance = random.Random(seed + user)
            price, resting = str(100 + user), 0
            orders: list[int] = []
            with ExitStack() as connections:
                clients = [connections.enter_context(gateway.connect()) for _ in range(4)]
                for _ in range(ORDERS):
                    if orders and chance.random() < 0.3:
                        done(chance.choice(clients), "order.cancel", user, MARKET, orders.pop())
                        resting -= 1
                    else:
                        order = done(chance.choice(clients), "order.put_limit", *limit(user, 2, "1", price))
                        orders.append(order["result"]["id"])
                        resting += 1
                    depth = done(chance.choice(clients), "order.depth", MARKET, 100, "0")["result"]
                    mine = dict(depth["bids"]).get(price, "0")
                    if mine != str(resting):
                        failures.append(f"user {user}: {mine} instead of {resting}")

        threads = [threading.Thread(target=trade, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not failures, failures[:5]
        by_shm = 'accesshttp_snapshot_answers_total{method="order.depth",source="shm",worker="%d"}'

        def answered() -> float:
            metrics = gateway.metrics()
            return sum(metrics.get(by_shm % worker, 0) for worker in (0, 1))

        wait_until(lambda: answered() == ORDERS * len(users), "the reports: all of it by shared memory")

        # Behind orders in one piece a query is asked for, for it would see none of them.
        with gateway.connect() as client:
            for count in range(1, 20):
                order = post("order.put_limit", limit(1, 2, "1", "7"))
                client.send(order + post("order.depth", [MARKET, 10, "0"]))
                assert client.receive().json["error"] is None
                bids = dict(client.receive().json["result"]["bids"])
                assert bids["7"] == str(count)


def test_answers_are_those_of_the_services_whoever_dies(tmp_path: Path) -> None:
    with ExitStack() as held:
        exchange = Exchange(tmp_path, held)
        prices = exchange.prices
        assert prices is not None
        gateway = exchange.http()
        client = held.enter_context(gateway.connect())
        exchange.fund(1, 2)
        by_shm = {query[0]: "shm" for query in QUERIES}

        def trade(price: str) -> None:
            for user, side in ((1, 1), (2, 2)):
                done(client, "order.put_limit", *limit(user, side, "0.5", price))
            done(client, "order.put_limit", *limit(1, 1, "3", "9000"))
            wait_until(lambda: newest_deal() == [price], "the deal")

        def newest_deal() -> list[str]:
            return [deal["price"] for deal in exchange.ask("market.deals", MARKET, 1, 0)["result"]]

        def check() -> None:
            for method, *params in QUERIES:
                shown, asked = done(client, method, *params), exchange.ask(method, *params)
                if method != "order.depth":
                    assert "sequence" not in shown
                assert shown.pop("sequence", 0) <= asked.pop("sequence", 0)
                assert shown == asked
            wait_until(lambda: sources(gateway) == by_shm, "the report")

        trade("8000.5")
        check()
        for params in (
            [MARKET, 102, "0"],
            [MARKET, 10, "x"],
            ["NOPE", 10, "0"],
            [MARKET],
            [MARKET, 10, "0.1"],
        ):
            assert (
                client.call("order.depth", params).json["error"]
                == exchange.ask("order.depth", *params)["error"]
            )
        for params in (["NOPE"], [], [MARKET, 1]):
            assert (
                client.call("market.last", params).json["error"]
                == exchange.ask("market.last", *params)["error"]
            )

        # Somebody cleans /dev/shm: asked for, until the rings are made anew.
        for ring in exchange.rings():
            ring.unlink()
        trade("8001")
        for method, *params in QUERIES:
            done(client, method, *params)
        reattached = 'accesshttp_snapshot_reattached_total{worker="0"}'

        def found_again() -> bool:
            done(client, "order.depth", MARKET, 1, "0")
            done(client, "market.last", MARKET)
            return gateway.metrics()[reattached] == 2

        wait_until(found_again, "the rings made anew")
        check()

        # A killed service: what it said last, while it may come back; then error 2.
        exchange.engine.kill()
        prices.kill()
        assert done(client, "market.last", MARKET)["result"] == "8001"
        assert len(done(client, "order.depth", MARKET, 1, "0")["result"]["asks"]) == 1

        def is_noticed(method: str, *params: Any) -> bool:
            answer = client.call(method, params).json
            return answer["error"] is not None and answer["error"]["code"] == 2

        for query in QUERIES:
            wait_until(partial(is_noticed, *query), f"the death, by {query}")
        assert client.call("order.depth", [MARKET, 1, "0"]).json["error"]["data"]["reason"] != NO_SNAPSHOT
        exchange.engine.start()
        prices.start()
        with gateway.connect() as other:
            done(other, "market.last", MARKET)
            wait_until(
                lambda: other.call("order.cancel", [1, MARKET, 1]).json["error"]["code"] != 2, "the engine"
            )
        trade("8002")
        check()


def test_shared_memory_only(tmp_path: Path) -> None:
    """Error 2 where there is no ring; the service is asked for what no ring has, and for all by `rpc`."""
    with ExitStack() as held:
        exchange = Exchange(tmp_path, held, has_prices=False, rings="\n[rings]\nlevels = 2\n")
        gateway = exchange.http(top='snapshot_source = "shm"')
        client = held.enter_context(gateway.connect())
        exchange.fund(1)
        for price in ("1", "2", "3"):
            done(client, "order.put_limit", *limit(1, 2, "1", price))
        assert len(done(client, "order.depth", MARKET, 2, "0")["result"]["bids"]) == 2
        wait_until(lambda: sources(gateway) == {"order.depth": "shm"}, "the report")
        assert len(done(client, "order.depth", MARKET, 3, "0")["result"]["bids"]) == 3
        wait_until(lambda: sources(gateway) == {"order.depth": "rpc"}, "the report")
        assert len(done(client, "order.depth", MARKET, 1, "1")["result"]["bids"]) == 1
        answer = client.call("order.depth", ["NOPE", 1, "0"])
        assert (answer.status, answer.json["error"]["code"]) == (500, 2)
        assert answer.json["error"]["data"]["reason"] == NO_SNAPSHOT
        wait_until(lambda: sources(gateway) == {"order.depth": "none"}, "the report")
        reason = client.call("market.last", [MARKET]).json["error"]["data"]["reason"]
        assert reason == "backend_not_connected", "a backend that is not in use answers nothing"


def test_two_exchanges_and_one_whose_rings_fail(tmp_path: Path) -> None:
    with ExitStack() as held:
        exchanges = [Exchange(tmp_path / name, held, has_prices=False) for name in ("one", "two")]
        gateways = [exchange.http() for exchange in exchanges]
        clients = [held.enter_context(gateway.connect()) for gateway in gateways]
        for number, (exchange, client) in enumerate(zip(exchanges, clients, strict=True), 1):
            exchange.fund(1)
            done(client, "order.put_limit", *limit(1, 2, str(number), "5"))
        for number, client in enumerate(clients, 1):
            assert done(client, "order.depth", MARKET, 5, "0")["result"]["bids"] == [["5", str(number)]]
        wait_until(
            lambda: [sources(gateway) for gateway in gateways] == [{"order.depth": "shm"}] * 2, "reports"
        )
        # Something has the name, so the second can make no ring of this market.
        (ring,) = [ring for ring in exchanges[1].rings() if ring.name.endswith(f"book.{MARKET}")]
        exchanges[1].engine.terminate()
        ring.mkdir()
        try:
            exchanges[1].engine.start()
            wait_until(lambda: clients[1].call("order.depth", [MARKET, 5, "0"]).status == 200, "the engine")
            assert done(clients[1], "order.depth", MARKET, 5, "0")["result"]["bids"] == [["5", "2"]]
            assert done(clients[0], "order.depth", MARKET, 5, "0")["result"]["bids"] == [["5", "1"]]
            wait_until(lambda: sources(gateways[1]) == {"order.depth": "rpc"}, "the report")
        finally:
            ring.rmdir()


def test_the_websocket_shows_the_same(tmp_path: Path) -> None:
    with ExitStack() as held:
        exchange = Exchange(tmp_path, held)
        gateway = exchange.websocket()
        client = held.enter_context(gateway.client())
        exchange.fund(1, 2)

        def trade(price: str) -> None:
            with exchange.engine.client("stream") as engine:
                for user, side in ((1, 1), (2, 2)):
                    assert engine.call(201, limit(user, side, "0.5", price))["error"] is None

        trade("8000")
        wait_until(lambda: exchange.ask("market.last", MARKET)["result"] == "8000", "the deal")
        methods = {
            "order.depth": "depth.query",
            "market.last": "price.query",
            "market.status": "state.query",
            "market.status_today": "today.query",
        }
        for method, *params in QUERIES:
            shown, asked = client.call(methods[method], *params), exchange.ask(method, *params)
            assert (shown["error"], shown["result"]) == (None, asked["result"])
        wait_until(lambda: sources(gateway, "accessws") == dict.fromkeys(methods, "shm"), "the report")
        for method in ("state.subscribe", "today.subscribe"):
            assert client.call(method, MARKET)["error"] is None
        assert client.push("state.update")["params"][1]["last"] == "8000"
        assert client.push("today.update")["params"][1]["last"] == "8000"
        trade("8001")
        assert client.push("state.update")["params"][1]["last"] == "8001"
        assert client.push("today.update")["params"][1]["last"] == "8001"
        metrics = gateway.metrics()
        for method in ("market.status", "market.status_today"):
            series = f'accessws_snapshot_answers_total{{method="{method}",source="rpc",worker="0"}}'
            assert metrics.get(series, 0) == 0


def test_almost_no_shared_memory(tmp_path: Path) -> None:
    """In a mount namespace of its own, where the system lets us have one."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    command = [
        "unshare",
        "--mount",
        sys.executable,
        "-m",
        "tests.processes.tiny_shared_memory",
        str(tmp_path),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr[-6_000:]
