"""What an answer becomes: a result, or an error that says what is known about the call."""

from __future__ import annotations

import socket

import pytest

from tests.vxutils.client.serving import (
    CLIENTS,
    Caller,
    Silent,
    Step,
    error,
    http,
    result,
    rpc_result,
    scripted,
)
from vxutils.client import ExchangeError, NoAnswer, Outcome


@pytest.mark.parametrize("kind", CLIENTS)
def test_results(kind: str) -> None:
    with scripted(result({"a": [1]}), result(None)) as server, Caller(kind, server.url) as caller:
        assert caller.call("balance.query", 1, "BTC") == {"a": [1]}
        assert caller.call("order.put_limit", 1, key="k") is None
    first, second = server.seen
    assert first.body == {"id": 1, "method": "balance.query", "params": [1, "BTC"]}
    assert second.body["idempotency_key"] == "k"
    assert server.connections == 1


@pytest.mark.parametrize("kind", CLIENTS)
def test_results_over_rpc(kind: str) -> None:
    with scripted(rpc_result("x"), rpc_result("y")) as server:
        with Caller(kind, f"tcp@127.0.0.1:{server.port}") as caller:
            assert [caller.call("market.list"), caller.call("order.cancel", 1, key="k")] == ["x", "y"]
            with pytest.raises(ExchangeError) as refused:
                caller.call("no.such")
        assert (refused.value.code, refused.value.outcome) == (4, Outcome.NOT_SENT)
        packets = [seen.packet for seen in server.seen if seen.packet]
    assert [(packet.command, packet.ext) for packet in packets] == [(307, b""), (204, b"k")]
    assert server.connections == 1


ERRORS: list[tuple[Step, int, Outcome]] = [
    (error(10), 10, Outcome.REFUSED),
    (error(3), 3, Outcome.REFUSED),
    (error(4, status="404 Not Found"), 4, Outcome.REFUSED),
    (error(5, status="504 Gateway Timeout"), 5, Outcome.UNKNOWN),
    (error(2, status="500 Internal Server Error"), 2, Outcome.UNKNOWN),
    (error(2, {"outcome": "not_sent"}), 2, Outcome.NOT_SENT),
    (error(5, {"outcome": "outcome_unknown", "reason": "timeout"}), 5, Outcome.UNKNOWN),
    (error(3, {"outcome": "something new"}), 3, Outcome.REFUSED),
    (error(3, {"outcome": []}), 3, Outcome.REFUSED),
]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("step", "code", "outcome"), ERRORS)
def test_errors_of_the_exchange(kind: str, step: Step, code: int, outcome: Outcome) -> None:
    with scripted(step, result(1)) as server, Caller(kind, server.url) as caller:
        with pytest.raises(ExchangeError) as raised:
            caller.call("order.put_limit", 1)
        assert not isinstance(raised.value, NoAnswer)
        assert (raised.value.code, raised.value.outcome) == (code, outcome)
        assert str(raised.value) == f"error {code}, as scripted ({outcome.value})"
        assert caller.call("market.list") == 1
    assert server.connections == 1


def test_what_the_error_says_more() -> None:
    data = {"reason": "price_too_precise", "parameter": "PRICE", "outcome": "refused"}
    with (
        scripted(error(1, data)) as server,
        Caller("blocking", server.url) as caller,
        pytest.raises(ExchangeError) as raised,
    ):
        caller.call("order.put_limit", 1)
    assert raised.value.data == data


NO_ANSWERS: list[tuple[Step, Outcome, str]] = [
    (None, Outcome.UNKNOWN, "closed the connection"),
    (Silent(), Outcome.UNKNOWN, "did not answer in time"),
    (b"nonsense\r\n\r\n", Outcome.UNKNOWN, "not HTTP"),
    (http(b"", "400 Bad Request"), Outcome.REFUSED, "HTTP status 400 and no body"),
    (http(b"", "503 Service Unavailable"), Outcome.REFUSED, "HTTP status 503"),
    (http(b"", "500 Internal Server Error"), Outcome.UNKNOWN, "HTTP status 500"),
    (http(b"", "502 Bad Gateway"), Outcome.UNKNOWN, "HTTP status 502"),
    (http(b"<html>", "302 Found"), Outcome.REFUSED, "HTTP status 302"),
    (http({"result": 1, "id": 1}, "404 Not Found"), Outcome.REFUSED, "HTTP status 404 and no error object"),
    (http(b""), Outcome.UNKNOWN, "the server answered no body"),
    (http([]), Outcome.UNKNOWN, "no reply object"),
    (http(b"[" * 100_000), Outcome.UNKNOWN, "no reply object"),
    (http({"error": {"code": "x"}}), Outcome.UNKNOWN, "no reply object"),
    (http({"error": None, "result": 1, "id": 2}), Outcome.UNKNOWN, "the answer is to request 2, not 1"),
    (http({"error": None, "result": 1}), Outcome.UNKNOWN, "the answer is to request None"),
]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("step", "outcome", "sentence"), NO_ANSWERS)
def test_no_answer(kind: str, step: Step, outcome: Outcome, sentence: str) -> None:
    timeout_s = 0.2 if isinstance(step, Silent) else 10.0
    with (
        scripted(step, result(1)) as server,
        Caller(kind, server.url, timeout_s=timeout_s) as caller,
    ):
        with pytest.raises(NoAnswer, match=sentence) as raised:
            caller.call("order.put_limit", 1)
        assert (raised.value.code, raised.value.outcome) == (0, outcome)
        assert caller.call("market.list") == 1
    assert server.connections == 2, "after a doubtful answer the connection is not used again"


@pytest.mark.parametrize("kind", CLIENTS)
def test_nobody_there(kind: str) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but it does not listen
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with Caller(kind, url) as caller, pytest.raises(NoAnswer, match="can not be reached") as raised:
            caller.call("order.put_limit", 1)
    assert raised.value.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("kind", CLIENTS)
def test_an_answer_is_bounded(kind: str) -> None:
    with (
        scripted(result("x" * 5000)) as server,
        Caller(kind, server.url, reply_bytes_max=1000) as caller,
        pytest.raises(NoAnswer, match="longer than 1000 bytes"),
    ):
        caller.call("market.list")
