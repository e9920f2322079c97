"""Requests over a real websocket: what each method checks, in its order, and how errors are told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateways.accessws.methods import METHODS, SUBSCRIPTION_METHODS
from tests.gateways.accessws.running import WsClient, WsGateway, toml_websocket, vx_token
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until

SECTIONS = """
[websocket]
requests_in_flight_max = 3
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WsGateway]:
    directory = tmp_path_factory.mktemp("methods")
    with EngineProcess(directory, toml_config()) as engine:
        with engine.client("tcp") as client:
            for user in (1, 2):
                client.call(102, [user, "BTC", "deposit", user, "10", {}])
            client.call(201, [1, "BTCBCH", 1, "1", "10", "0", "0", "test"])
        config = toml_websocket(engine.address(), sections=SECTIONS)
        running = WsGateway(directory, config, data_dir=engine.data_dir)
        running.tokens = {user: running.token(user) for user in (1, 2)}
        with running:
            wait_until(lambda: connected(running), "the backend")
            yield running


def connected(gateway: WsGateway) -> bool:
    return bool(gateway.health()["facts"]["backends"]["matchengine"] == "connected")


@pytest.fixture
def client(gateway: WsGateway) -> Iterator[WsClient]:
    with gateway.client() as one:
        yield one


def log_in(gateway: WsGateway, client: WsClient, user_id: int) -> None:
    assert client.call("server.auth", gateway.tokens[user_id], "test")["result"] == {"status": "success"}


def test_there_are_thirty_methods() -> None:
    assert len(METHODS) == 30 and len(SUBSCRIPTION_METHODS) == 16


def test_the_gateway_answers_for_itself(client: WsClient) -> None:
    assert client.call("server.ping") == {"error": None, "result": "pong", "id": 1}
    assert abs(client.call("server.time", 1, 2)["result"] - time.time()) < 60


UNAUTHENTICATED = [
    ("order.query", ["BTCBCH", 0, 10], 6),
    ("order.query", [], 6),
    (
        "order.history",
        ["BTCBCH", 0, 0, 0, 10, 0],
        2,
    ),  # readhistory is not connected, which is looked at first
    ("order.subscribe", ["BTCBCH"], 6),
    ("order.unsubscribe", [], 6),
    ("asset.query", ["BTC"], 6),
    ("asset.history", [], 2),
    ("asset.subscribe", ["BTC"], 6),
    ("asset.unsubscribe", [], 6),
    ("price.query", ["BTCBCH"], 2),
    ("depth.query", ["NOPE", 5, "0"], 1),
    ("depth.query", [], 1),
    ("depth.query", ["BTCBCH", 5, "0"], 0),
    ("server.auth", [], 1),
    ("server.auth", ["x"], 1),
    ("server.auth", [1, "web"], 1),
    ("server.auth", ["x", "s" * 32], 1),
    ("server.auth", ["x", "ä" * 16], 1),
    ("server.auth", ["wrong", "s" * 31], 11),
    ("server.sign", [], 1),
    ("server.sign", ["id", 123456, "sig"], 1),
    ("server.sign", ["id", "sig", 0], 1),
    ("server.sign", ["id", "sig", True], 1),
    ("no.such", [], 4),
    ("order.put_limit", [1, "BTCBCH", 1, "1", "1", "0", "0", ""], 4),
]


@pytest.mark.parametrize(("method", "params", "code"), UNAUTHENTICATED)
def test_without_login(client: WsClient, method: str, params: list[Any], code: int) -> None:
    assert client.code(method, *params) == code


def test_a_login_shows_its_own_user_only(gateway: WsGateway, client: WsClient) -> None:
    log_in(gateway, client, 1)
    orders = client.call("order.query", "BTCBCH", 0, 10)
    assert [order["user"] for order in orders["result"]["records"]] == [1]
    assert orders["sequence"] >= 3
    assets = client.call("asset.query", "BTC")
    assert assets["result"] == {"BTC": {"available": "9", "freeze": "1"}} and assets["sequence"] >= 3
    # What looks like another user's id is one parameter too many, or the name of an asset.
    assert client.code("order.query", 2, "BTCBCH", 0, 10) == 1
    assert client.code("asset.query", 2, "BTC") == 1
    log_in(gateway, client, 2)
    assert client.call("order.query", "BTCBCH", 0, 10)["result"]["records"] == []
    assert client.call("asset.query", "BTC")["result"]["BTC"]["available"] == "10"


WRONG_PARAMETERS: list[tuple[str, list[Any], int]] = [
    ("order.query", ["BTCBCH", 0], 1),
    ("order.query", ["BTCBCH", "0", 10], 1),
    ("order.query", ["BTCBCH", 0, True], 1),
    ("order.query", ["BTCBCH", 0, 10**18], 1),
    ("order.query", ["BTCBCH", 0, 2**64], 1),
    ("asset.query", ["NOPE"], 1),
    ("asset.query", ["a\0b"], 1),
]


def test_wrong_parameters(gateway: WsGateway, client: WsClient) -> None:
    log_in(gateway, client, 1)
    for method, params, code in WRONG_PARAMETERS:
        assert client.code(method, *params) == code, (method, params)
    error = client.call("order.query", "BTCBCH", "0", 10)["error"]
    assert error["data"]["parameter"] == "offset" and error["data"]["outcome"] == "not_sent"


def test_a_revoked_login_is_closed(gateway: WsGateway, client: WsClient) -> None:
    token = gateway.token(1)
    wait_until(lambda: client.code("server.auth", token, "test") == 0, "the worker to know the token")
    assert client.code("asset.query", "BTC") == 0
    vx_token("revoke", token.split("_")[1], "--data-dir", str(gateway.data_dir))
    assert client.close_code() == 1008
    with gateway.client() as another:
        assert another.code("server.auth", token, "test") == 11


BAD = ["{bad", "[]", "null", '{"method":"server.ping","params":[]}', '{"id":"1","method":"x","params":[]}']
BAD += [
    '{"id":1,"method":"server.ping"}',
    '{"id":1,"method":1,"params":[]}',
    '{"id":1.0,"method":"x","params":[]}',
]


def test_bad_requests_are_told_and_cost_nothing_else(client: WsClient) -> None:
    for text in BAD:
        client.send(text)
        reply = json.loads(client.receive())
        assert reply["error"]["code"] == 1 and reply["error"]["data"]["reason"], text
    client.send(b'{"id":7,"method":"server.ping","params":[]}')
    assert json.loads(client.receive())["id"] == 7
    client.send(b"\xff\xfe")
    assert json.loads(client.receive())["error"]["code"] == 1
    assert client.code("server.ping") == 0


def test_results_are_repeated_with_the_callers_id(gateway: WsGateway, client: WsClient) -> None:
    hits = 'accessws_query_cache_hits_total{worker="0"}'
    before = gateway.metrics()[hits]
    texts = set()
    for number in range(20):
        client.send(json.dumps({"id": number, "method": "depth.query", "params": ["BTCBCH", 10, "0.1"]}))
        reply = json.loads(client.receive())
        assert reply.pop("id") == number
        texts.add(json.dumps(reply))
    assert len(texts) <= 3
    wait_until(lambda: gateway.metrics()[hits] > before, "the worker's next report")


def test_too_many_queries_at_once(client: WsClient) -> None:
    """Written in one piece they are all there before the first answer."""
    for number in range(20):
        client.request("depth.query", ["BTCBCH", number, "0.1"])
    codes = [json.loads(client.receive())["error"] for _ in range(20)]
    assert {3} >= {error["code"] for error in codes if error is not None}
    assert client.code("server.ping") == 0


def test_requests_are_counted(gateway: WsGateway, client: WsClient) -> None:
    series = 'accessws_requests_total{code="4",method="none",worker="0"}'
    before = gateway.metrics().get(series, 0)
    client.call("no.such")
    wait_until(lambda: gateway.metrics().get(series, 0) == before + 1, "the worker's next report")
