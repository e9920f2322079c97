"""The HTTP exchanges recorded from the C system get the recorded answers from the real gateway and engine.

Status line, headers and body byte for byte with the C system's own configuration, equal in value with ours.
Deliberate differences stand in `differences_http`, nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance.comparing import assert_equal_in_value, masked
from tests.conformance.differences_http import CLASSES, DIFFERENCES, ENGINE_ASSETS, UNRECORDED
from tests.conformance.replay import VECTORS
from tests.gateways.accesshttp.running import (
    Answer,
    Closed,
    Gateway,
    HttpClient,
    c_gateway,
    post,
    toml_gateway,
)
from tests.support.configs import c_config, toml_config
from tests.support.processes import EngineProcess

FILE = VECTORS / "10_http.jsonl"
EXCHANGES = 64
PROBE = post("no.such", [], 77)
DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]+ [0-9]{4} [0-9:]{8} GMT")
ENGINE_STOPPED = 64  # the line recorded while the C engine stood still
SIZED = re.compile(r"\(([0-9]+) bytes in 1 writes\)")


class Exchange(NamedTuple):
    """One line of the recording; no status line: the C system closed without an answer.

    `second_body`: of the answer to the second one of two pipelined requests.
    """

    line: int
    name: str
    writes: list[bytes]
    status_line: str
    headers: list[str]
    body: str
    second_body: str
    closes: bool


def exchanges() -> Iterator[Exchange]:
    for line, text in enumerate(FILE.read_text().splitlines(), start=1):
        fields = json.loads(text)
        body, _, second = fields["body"].partition("HTTP/1.1 200 OK\r\n")
        yield Exchange(
            line,
            fields["name"],
            writes(fields["request"]),
            fields["status_line"],
            fields["headers"],
            body,
            second.partition("\r\n\r\n")[2],
            fields["server_closed"],
        )


def writes(request: list[str] | str) -> list[bytes]:
    """The recorded writes; of large requests only the size was recorded, so they are made again."""
    if isinstance(request, list):
        return [piece.encode() for piece in request]
    found = SIZED.search(request)
    assert found is not None, request
    empty = len(post("asset.list", [""]))
    text = "x" * (int(found[1]) - empty)
    return [post("asset.list", [text])]


def test_recording_is_whole() -> None:
    assert sum(1 for _ in exchanges()) == EXCHANGES


def test_bytes_are_equal_with_the_c_configuration(tmp_path: Path) -> None:
    with (
        EngineProcess(tmp_path, c_config()) as engine,
        Gateway(tmp_path, c_gateway(engine.address())) as gateway,
    ):
        assets = ""
        for exchange in exchanges():
            if exchange.line == ENGINE_STOPPED:
                os.kill(engine.pid, signal.SIGSTOP)
            answer, closed = converse(gateway, exchange)
            assets = assets or (exchange.body if exchange.name == "asset.list" else "")
            compare_bytes(expected(exchange, assets), answer, closed)
        os.kill(engine.pid, signal.SIGCONT)


def test_values_are_equal_in_plain_style(tmp_path: Path) -> None:
    with (
        EngineProcess(tmp_path, toml_config(wire_style="plain")) as engine,
        Gateway(tmp_path, toml_gateway(engine.address())) as gateway,
    ):
        for exchange in exchanges():
            difference = DIFFERENCES.get(exchange.line)
            if difference is not None or exchange.status_line != "HTTP/1.1 200 OK":
                continue
            answer, _ = converse(gateway, exchange)
            assert answer is not None and answer.status == 200, exchange.name
            assert answer.header("content-type") == "application/json"
            compare_values(exchange, answer)


def compare_values(exchange: Exchange, answer: Answer) -> None:
    got, recorded = answer.json, json.loads(exchange.body)
    if recorded["error"] is not None:
        data = got["error"].pop("data")
        assert set(data) == {"reason", "parameter", "rule"}, exchange.name
        assert got == recorded, exchange.name
        return
    try:
        assert_equal_in_value(answer.body.decode(), exchange.body)
    except AssertionError as difference:
        raise AssertionError(f"{exchange.line} {exchange.name}: {difference}") from None


def converse(gateway: Gateway, exchange: Exchange) -> tuple[Answer | None, bool]:
    """The answer (None: closed without one), and whether the server closed the connection after it."""
    with gateway.connect() as client:
        for index, piece in enumerate(exchange.writes):
            if index:
                wait_until_read(client)
            client.send(piece)
        try:
            answer = client.receive()
        except Closed:
            return None, True
        if exchange.second_body:
            assert client.receive().json == json.loads(exchange.second_body), exchange.name
        return answer, is_closed(client)


def wait_until_read(client: HttpClient) -> None:
    """Lets the server read what was sent, so that the next write arrives on its own."""
    client.socket.settimeout(0.05)
    try:
        client.socket.recv(1)
    except TimeoutError:
        pass
    client.socket.settimeout(10)


def is_closed(client: HttpClient) -> bool:
    """An open connection answers one more request."""
    try:
        client.send(PROBE)
        answer = client.receive()
    except Closed:
        return True
    assert answer.status == 404 and answer.json["id"] == 77, answer
    return False


def expected(exchange: Exchange, assets: str) -> Exchange:
    """The recorded exchange, or what its difference makes of it."""
    difference = DIFFERENCES.get(exchange.line)
    if difference is None:
        return exchange
    body = difference.body
    if body is ENGINE_ASSETS:
        body = json.dumps(json.loads(assets) | {"id": 1})
    assert isinstance(body, str)
    headers = ["Date: masked", f"Content-Length: {len(body.encode())}"]
    changed = exchange._replace(
        status_line=difference.status_line, body=body, closes=difference.closes, headers=headers
    )
    assert (changed.status_line, changed.body, changed.closes) != (
        exchange.status_line,
        exchange.body,
        exchange.closes,
    ), f"{exchange.line} does not differ: {difference.kind}"
    return changed


def compare_bytes(wanted: Exchange, answer: Answer | None, closed: bool) -> None:
    name = f"{wanted.line} {wanted.name}"
    if not wanted.status_line:
        assert answer is None and closed, f"{name}: {answer}"
        return
    assert answer is not None, f"{name}: closed without an answer"
    assert answer.status_line == wanted.status_line, name
    assert masked(answer.body.decode()) == masked(wanted.body), name
    assert closed == wanted.closes, f"{name}: closed: {closed}"
    names = [line.partition(":")[0] for line in wanted.headers]
    assert [header for header, _ in answer.headers] == names, name
    assert DATE.fullmatch(answer.header("date") or ""), f"{name}: {answer.header('date')}"
    assert answer.header("content-length") == str(len(answer.body)), name


def test_every_difference_is_recorded_or_declared_unrecorded() -> None:
    kinds = {difference.kind for difference in DIFFERENCES.values()}
    assert kinds == CLASSES - UNRECORDED
    lines: set[Any] = {exchange.line for exchange in exchanges()}
    assert DIFFERENCES.keys() <= lines
