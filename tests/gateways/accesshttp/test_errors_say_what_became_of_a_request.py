"""Each error of the gateway in plain style: status, code, reason, and what became of the request."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateways.accesshttp.running import Answer, Gateway, post, toml_gateway
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess

ASSETS = ["BTC", "CNY"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("running")
    with (
        EngineProcess(directory, toml_config()) as engine,
        Gateway(directory, toml_gateway(engine.address())) as gateway,
    ):
        yield gateway


def facts(answer: Answer) -> tuple[int, int, str, str, str]:
    """Status, and code, reason, parameter and outcome of the error."""
    error = answer.json["error"]
    data = error["data"]
    assert answer.json["result"] is None and data["rule"]
    assert answer.header("content-type") == "application/json"
    return answer.status, error["code"], data["reason"], data["parameter"], data.get("outcome", "")


CALLS = [
    ("no.such", [], (404, 4, "method_not_found", "", "not_sent")),
    ("market.last", ["BTCBCH"], (500, 2, "backend_not_connected", "", "not_sent")),
    ("balance.history", [1, "BTC", "", 0, 0, 0, 10], (500, 2, "backend_not_connected", "", "not_sent")),
    ("balance.query", [1, "x" * 11_000], (413, 1, "request_too_large", "params", "not_sent")),
    ("balance.query", ["one"], (200, 1, "invalid_user_id", "user_id", "")),  # the engine's own words
    ("order.cancel", [1, "NONE", 1], (200, 1, "unknown_market", "market", "")),
]


@pytest.mark.parametrize(("method", "params", "expected"), CALLS, ids=range(len(CALLS)))
def test_call(gateway: Gateway, method: str, params: list[object], expected: tuple[object, ...]) -> None:
    with gateway.connect() as client:
        answer = client.call(method, params, 41)
        assert facts(answer) == expected and answer.json["id"] == 41
        assert client.call("asset.list", []).status == 200, "the connection goes on"


BODIES = [
    (b"", (400, 1, "not_a_json_object", "", "not_sent"), None),
    (b"{bad", (400, 1, "not_a_json_object", "", "not_sent"), None),
    (b'{"method": "asset.list", "params": []}', (400, 1, "invalid_id", "id", "not_sent"), None),
    (b'{"id": 3, "method": 1, "params": []}', (400, 1, "invalid_method", "method", "not_sent"), 3),
    (b'{"id": 3, "method": "asset.list"}', (400, 1, "invalid_params", "params", "not_sent"), 3),
    (
        b'{"id": 3, "method": "balance.query", "params": [1, "\\u0000"]}',
        (400, 1, "invalid_params", "params", "not_sent"),
        3,
    ),
]


@pytest.mark.parametrize(("body", "expected", "request_id"), BODIES, ids=range(len(BODIES)))
def test_body(gateway: Gateway, body: bytes, expected: tuple[object, ...], request_id: int | None) -> None:
    with gateway.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        answer = client.receive()
        assert facts(answer) == expected and answer.json["id"] == request_id
        assert client.call("asset.list", []).status == 200


def test_what_a_backend_would_close_its_connection_for_is_stopped_here(gateway: Gateway) -> None:
    """One client's nonsense must not cost the others their requests in flight."""
    losses = gateway.metrics()['accesshttp_backend_losses_total{backend="matchengine",worker="0"}']
    nasty = ["\x00", "\\u0000", 2**63, [[[[]]]] * 3, float(10**300)]
    with gateway.connect() as client:
        for value in nasty:
            client.call("balance.update", [1, "BTC", "deposit", 1, "1", {"note": value}])
        deep: object = 1
        for _ in range(300):
            deep = [deep]
        assert facts(client.call("balance.query", [deep]))[:3] == (400, 1, "invalid_params")
    after = gateway.metrics()['accesshttp_backend_losses_total{backend="matchengine",worker="0"}']
    assert after == losses == 0


def test_other_http_methods(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.receive()
        assert facts(answer) == (405, 1, "method_not_post", "", "not_sent")
        assert answer.header("allow") == "POST"


def test_malformed_http(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n")
        assert facts(client.receive())[:3] == (400, 1, "malformed_http")
        assert client.is_closed_by_server()


def test_pipelined_answers_come_in_order(gateway: Gateway) -> None:
    """The second is answered here at once, the first by the engine."""
    with gateway.connect() as client:
        requests = [post("balance.query" if i % 2 else "no.such", [1], i) for i in range(1, 41)]
        client.send(b"".join(requests))
        assert [client.receive().json["id"] for _ in requests] == list(range(1, 41))


def test_idempotency_key_is_passed_on(gateway: Gateway) -> None:
    with gateway.connect() as client:
        deposit = [77, "BTC", "deposit", 1, "5", {}]
        first = client.call("balance.update", deposit, idempotency_key="once")
        again = client.call("balance.update", deposit, idempotency_key="once")
        assert first.json["error"] is None and again.json == first.json
        assert client.call("balance.query", [77, "BTC"]).json["result"]["BTC"]["available"] == "5"
        other = client.call("balance.update", [77, "BTC", "deposit", 2, "5", {}], idempotency_key="once")
        assert facts(other)[:3] == (200, 1, "idempotency_key_reused")
        bad = client.call("balance.update", deposit, idempotency_key="")
        assert facts(bad) == (400, 1, "invalid_idempotency_key", "idempotency_key", "not_sent")
        assert client.call("asset.list", [], idempotency_key="").status == 200, "ignored by a query"


def test_timeout_then_loss(tmp_path: Path) -> None:
    """An engine that stands still: outcome unknown; in-flight bound: refused; then it dies: unknown, at once;
    then it is not there: not sent."""
    config = toml_gateway("ENGINE", top="timeout_s = 1.0").replace(
        "reconnect_timeout_s", "inflight_max = 2\nreconnect_timeout_s"
    )
    with EngineProcess(tmp_path, toml_config()) as engine:
        config = config.replace("ENGINE", str(engine.address()))
        with (
            Gateway(tmp_path, config) as gateway,
            gateway.connect() as one,
            gateway.connect() as two,
            gateway.connect() as three,
        ):
            assert one.call("asset.list", []).status == 200
            os.kill(engine.pid, signal.SIGSTOP)
            put = [1, "BTCBCH", 1, "1", "1", "0", "0", "x"]
            for client in (one, two):
                client.send(post("order.put_limit", put, 5))
            assert facts(one.receive()) == (504, 5, "backend_timeout", "", "outcome_unknown")
            assert facts(two.receive()) == (504, 5, "backend_timeout", "", "outcome_unknown")
            for client in (one, two):
                client.send(post("order.put_limit", put, 6))
            refused = three.call("order.put_limit", put)
            assert facts(refused) == (503, 3, "too_many_requests_in_flight", "", "refused")
            os.kill(engine.pid, signal.SIGKILL)
            for client in (one, two):
                assert facts(client.receive()) == (504, 5, "backend_connection_lost", "", "outcome_unknown")
            assert facts(one.call("asset.list", [])) == (500, 2, "backend_not_connected", "", "not_sent")


def test_late_replies_are_dropped(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine:
        config = toml_gateway(engine.address(), top="timeout_s = 0.2")
        with Gateway(tmp_path, config) as gateway, gateway.connect() as client:
            os.kill(engine.pid, signal.SIGSTOP)
            assert facts(client.call("asset.list", [], 1))[1] == 5
            assert facts(client.call("asset.list", [], 2))[1] == 5
            os.kill(engine.pid, signal.SIGCONT)
            answer = client.call("balance.query", [1, "BTC"], 3)
            assert answer.status == 200 and answer.json["id"] == 3 and "BTC" in answer.json["result"]
