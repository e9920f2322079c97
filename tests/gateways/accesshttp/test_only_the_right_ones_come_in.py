"""Tokens, networks, methods and origins over real connections; no secret in any output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateways.accesshttp.running import Answer, Closed, Gateway, c_gateway, post, toml_gateway
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess

OFFICE = "office-token-0123456789"  # not real ones
FILED = "filed-token-0123456789"
WRONG = "wrong-token-0123456789"
PAGE = "https://shop.example"
LEVELS = ["fatal", "error", "warn", "info", "notice", "debug", "trace", "user1", "user2"]

LISTENERS = """bind = ["tcp@127.0.0.1:0"]
origins = ["{page}"]
[[listener.token]]
name = "office"
token = "{office}"
[[listener.token]]
name = "filed"
file = "{file}"
[[listener]]
bind = ["tcp@127.0.0.1:0"]
methods = "public"
[[listener]]
bind = ["tcp@127.0.0.1:0"]
allow_cidrs = ["10.0.0.0/8"]
[[listener]]
bind = ["tcp@127.0.0.1:0"]
methods = ["asset.list", "balance.update"]
"""
WITH_TOKEN, PUBLIC, FAR_AWAY, LISTED = range(4)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("access")
    (directory / "token").write_text(FILED + "\n")
    listeners = LISTENERS.format(page=PAGE, office=OFFICE, file=directory / "token")
    with EngineProcess(directory, toml_config()) as engine:
        config = toml_gateway(engine.address(), listener=listeners, sections=f"[log]\nflag = {LEVELS}")
        with Gateway(directory, config) as gateway:
            yield gateway


def ask(gateway: Gateway, index: int, *headers: str, method: str = "asset.list") -> Answer:
    with gateway.connect(index) as client:
        client.send(post(method, [], headers=headers))
        return client.receive()


def reason(answer: Answer) -> str:
    return str(answer.json["error"]["data"]["reason"])


@pytest.mark.parametrize("token", [OFFICE, FILED])
def test_token_is_accepted(gateway: Gateway, token: str) -> None:
    assert ask(gateway, WITH_TOKEN, f"Authorization: Bearer {token}").status == 200


@pytest.mark.parametrize(
    "header", ["X-None: 1", f"Authorization: Bearer {WRONG}", f"Authorization: Basic {OFFICE}"]
)
def test_without_a_token(gateway: Gateway, header: str) -> None:
    answer = ask(gateway, WITH_TOKEN, header)
    assert (answer.status, answer.json["error"]["code"]) == (401, 6)
    assert reason(answer) == "token_required"
    assert answer.header("www-authenticate") == "Bearer"


@pytest.mark.parametrize(
    ("index", "method", "status"),
    [
        (PUBLIC, "asset.list", 200),
        (PUBLIC, "balance.update", 404),
        (PUBLIC, "balance.query", 404),
        (PUBLIC, "order.put_limit", 404),
        (LISTED, "asset.list", 200),
        (LISTED, "balance.update", 200),
        (LISTED, "market.list", 404),
    ],
)
def test_methods_of_a_listener(gateway: Gateway, index: int, method: str, status: int) -> None:
    answer = ask(gateway, index, method=method)
    assert answer.status == status
    if status == 404:
        assert reason(answer) == "method_not_offered" and answer.json["error"]["code"] == 4


def test_a_peer_from_elsewhere_is_turned_away(gateway: Gateway) -> None:
    with gateway.connect(FAR_AWAY) as client:
        try:
            answer = client.receive()
        except Closed:
            return  # the reset may overtake the answer
        assert answer.status == 403 and reason(answer) == "peer_not_allowed"


def test_origin_that_is_not_listed(gateway: Gateway) -> None:
    for origin in ("https://evil.example", "null", PAGE + ".evil.example", ""):
        answer = ask(gateway, WITH_TOKEN, f"Authorization: Bearer {OFFICE}", f"Origin: {origin}")
        assert answer.status == 403 and reason(answer) == "origin_not_allowed", origin
        assert answer.header("access-control-allow-origin") is None


def test_origin_that_is_listed(gateway: Gateway) -> None:
    answer = ask(gateway, WITH_TOKEN, f"Authorization: Bearer {OFFICE}", f"Origin: {PAGE}")
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == PAGE and answer.header("vary") == "Origin"
    assert ask(gateway, WITH_TOKEN, f"Origin: {PAGE}").status == 401, "an origin is no token"


def test_preflight(gateway: Gateway) -> None:
    with gateway.connect(WITH_TOKEN) as client:
        client.send(f"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: {PAGE}\r\n\r\n".encode())
        answer = client.receive()
        assert answer.status == 204 and answer.header("access-control-allow-methods") == "POST"
        assert "Authorization" in (answer.header("access-control-allow-headers") or "")
        client.send(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\r\n")
        assert client.receive().status == 403


def test_with_a_c_configuration_browsers_are_refused(tmp_path: Path) -> None:
    with Gateway(tmp_path, c_gateway("tcp@127.0.0.1:1")) as gateway:
        answer = ask(gateway, 0, f"Origin: {PAGE}")
        assert answer.status == 403
        assert answer.json["error"] == {"code": 6, "message": "require authentication"}


def test_no_secret_is_in_any_output(gateway: Gateway) -> None:
    """Run last in this file: by then the tokens, right and wrong, have been through everything."""
    for secret in (OFFICE, FILED, WRONG):
        ask(gateway, WITH_TOKEN, f"Authorization: Bearer {secret}")
        with gateway.connect(WITH_TOKEN) as client:
            client.send(f"POST / HTTP/1.1\r\nAuthorization: Bearer {secret}\r\nbad header\r\n\r\n".encode())
            assert client.receive().status == 400
    shown = gateway.stdout + gateway.stderr + str(gateway.metrics()) + str(gateway.health())
    assert "peer:" in shown, "the log is on"
    for secret in (OFFICE, FILED, WRONG):
        assert secret not in shown
