"""The HTTP exchanges recorded from the C system get the recorded answers from the whole back-end, `vx up`.

Status line, headers and body byte for byte with the C system's own configuration, equal in value with ours.
Deliberate differences stand in `differences_http`, nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance.comparing import assert_equal_in_value, masked
from tests.conformance.differences_http import CLASSES, DIFFERENCES, ENGINE_ASSETS, UNRECORDED
from tests.conformance.differences_services import FIRST_CANDLE
from tests.conformance.replay import VECTORS
from tests.gateways.accesshttp.running import Answer, Closed, HttpClient, c_gateway, post
from tests.gateways.cli.running import VxUp, children, free_port_offset
from tests.support.configs import c_config, toml_config
from tests.support.processes import create_data_directory, wait_until
from vxnet.address import parse_address

FILE = VECTORS / "10_http.jsonl"
EXCHANGES = 64
PROBE = post("no.such", [], 77)
DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]+ [0-9]{4} [0-9:]{8} GMT")
ENGINE_BIND = ("tcp@127.0.0.1:7316", "udp@127.0.0.1:7316")
HISTORY_FIRST = 9  # the first line that asks what became of the trades before
CANDLES = 20  # the line that asks for candles of a time
HISTORY_STOPPED = 63  # the line recorded without readhistory
ENGINE_STOPPED = 64  # the line recorded while the C engine stood still
HISTORY_CLOCK = re.compile(r'("f?time": ?)[0-9]{10}(?:\.[0-9]{1,7})?\b')
AS_OF = re.compile(r',"as_of":\{[^}]*\}')
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


class BackEnd(VxUp):
    """`vx up` on an empty exchange, with these settings of the engine."""

    def __enter__(self) -> BackEnd:
        super().__enter__()
        return self

    def __init__(self, directory: Path, engine: str, *words: object) -> None:
        (directory / "engine.settings").write_text(engine)
        create_data_directory(directory / "data")
        own = ["--config", "engine.settings", "--data-dir", "data", "--port-offset", free_port_offset()]
        super().__init__(directory, *own, *words)

    def connect(self) -> HttpClient:
        """A connection to the gateway."""
        return HttpClient(self.address("accesshttp listener ready: "))

    def ask(self, method: str, params: list[Any]) -> Any:
        """The result."""
        with self.connect() as client:
            return client.call(method, params).json["result"]

    def backends(self) -> dict[str, str]:
        """What the gateway's workers know of the processes behind them."""
        line = next(
            line for line in self.stdout.splitlines() if line.startswith("accesshttp listener ready: ")
        )
        monitor = parse_address(line.partition(" monitor ")[2])
        url = f"http://{monitor.host}:{monitor.port}/health"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                health = json.load(answer)
        except urllib.error.HTTPError as error:
            health = json.load(error)
        found: dict[str, str] = health["facts"]["backends"]
        return found

    def wait_until_told(self) -> None:
        """Until the two recorded deals have come to history and market data."""

        def are_there() -> bool:
            told = (
                self.ask("market.user_deals", [1, "BTCBCH", 0, 10]),
                self.ask("market.deals", ["BTCBCH", 10, 0]),
            )
            return [len(told[0]["records"]), len(told[1])] == [2, 2]

        wait_until(are_there, "the deals")


def test_bytes_are_equal_with_the_c_configuration(tmp_path: Path) -> None:
    gateway = c_gateway(ENGINE_BIND[0])
    for name, port in (("marketprice", 7416), ("readhistory", 7424)):
        gateway[name]["addr"] = f"tcp@127.0.0.1:{port}"
    (tmp_path / "gateway.json").write_text(json.dumps(gateway))
    words = ["--accesshttp-config", "gateway.json", "--embedded"]
    with BackEnd(tmp_path, json.dumps(c_config(ENGINE_BIND)), *words) as back_end:
        back_end.wait_for_line("Ctrl-C stops everything")
        engine = back_end.worker_pid
        assets = ""
        for exchange in exchanges():
            if exchange.line == HISTORY_FIRST:
                back_end.wait_until_told()
            if exchange.line == CANDLES:
                compare_candles(exchange, back_end)
                continue
            if exchange.line == HISTORY_STOPPED:
                stop_history(back_end)
            if exchange.line == ENGINE_STOPPED:
                os.kill(engine, signal.SIGSTOP)
            answer, closed = converse(back_end, exchange)
            assets = assets or (exchange.body if exchange.name == "asset.list" else "")
            compare_bytes(expected(exchange, assets), answer, closed)
        os.kill(engine, signal.SIGCONT)


def test_values_are_equal_in_plain_style(tmp_path: Path) -> None:
    with BackEnd(tmp_path, toml_config(ENGINE_BIND, wire_style="plain")) as back_end:
        back_end.wait_for_line("Ctrl-C stops everything")
        for exchange in exchanges():
            if exchange.line == HISTORY_FIRST:
                back_end.wait_until_told()
            if exchange.line == CANDLES:
                compare_candles(exchange, back_end)
                continue
            difference = DIFFERENCES.get(exchange.line)
            if difference is not None or exchange.status_line != "HTTP/1.1 200 OK":
                continue
            answer, _ = converse(back_end, exchange)
            assert answer is not None and answer.status == 200, exchange.name
            assert answer.header("content-type") == "application/json"
            compare_values(exchange, answer)


def stop_history(back_end: BackEnd) -> None:
    """Nobody listens for it any more, and nobody starts it again: its watchdog stands still."""
    watchdog = back_end.pid("readhistory")
    (worker,) = children(watchdog)
    os.kill(watchdog, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in children(watchdog), "the end of readhistory")
    wait_until(lambda: back_end.backends()["readhistory"] == "not connected", "the gateway to notice")


def compare_candles(exchange: Exchange, back_end: BackEnd) -> None:
    """The clock decides which of these seconds has which deal: compared is what all of them say together."""
    recorded = json.loads(exchange.body)["result"]
    first_deal = back_end.ask("market.deals", ["BTCBCH", 10, 0])[-1]
    start = int(first_deal["time"])
    got = back_end.ask("market.kline", ["BTCBCH", start - 1, start + 7, 1])
    assert [candle[0] for candle in got] == list(range(start, start + len(got)))
    assert got[0][1] == got[0][4] == "10" and recorded[0][1] == recorded[0][4] == "0", FIRST_CANDLE
    recorded[0][1] = recorded[0][4] = "10"
    assert together(got) == together(recorded)


def together(candles: list[list[Any]]) -> tuple[object, ...]:
    """Prices that ever were, volume and deal of all, and the market."""
    prices = {price for candle in candles for price in candle[1:5]}
    volume, deal = (sum(Decimal(candle[index]) for candle in candles) for index in (5, 6))
    return prices, volume, deal, {candle[7] for candle in candles}


def compare_values(exchange: Exchange, answer: Answer) -> None:
    got, recorded = answer.json, json.loads(exchange.body)
    if recorded["error"] is not None:
        data = got["error"].pop("data")
        assert set(data) == {"reason", "parameter", "rule"}, exchange.name
        assert got == recorded, exchange.name
        return
    try:
        assert_equal_in_value(AS_OF.sub("", stopped(answer.body.decode())), stopped(exchange.body))
    except AssertionError as difference:
        raise AssertionError(f"{exchange.line} {exchange.name}: {difference}") from None


def stopped(body: str) -> str:
    """With the times of history and market data at 0."""
    return HISTORY_CLOCK.sub(r"\g<1>0", body)


def converse(back_end: BackEnd, exchange: Exchange) -> tuple[Answer | None, bool]:
    """The answer (None: closed without one), and whether the server closed the connection after it."""
    with back_end.connect() as client:
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
    assert masked(stopped(answer.body.decode())) == masked(stopped(wanted.body)), name
    assert closed == wanted.closes, f"{name}: closed: {closed}"
    names = [line.partition(":")[0] for line in wanted.headers]
    assert [header for header, _ in answer.headers] == names, name
    assert DATE.fullmatch(answer.header("date") or ""), f"{name}: {answer.header('date')}"
    assert answer.header("content-length") == str(len(answer.body)), name


def test_every_difference_is_recorded_or_declared_unrecorded() -> None:
    kinds = {difference.kind for difference in DIFFERENCES.values()}
    assert kinds == CLASSES - UNRECORDED | {FIRST_CANDLE}
    lines: set[Any] = {exchange.line for exchange in exchanges()}
    assert DIFFERENCES.keys() <= lines
