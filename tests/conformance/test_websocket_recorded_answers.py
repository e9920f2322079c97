"""Websocket exchanges recorded from the C system get the recorded answers from the whole back-end, `vx up`.

With the C system's own configuration: replies byte for byte but for the clock, pushes in the recorded shape
and leading to the recorded state (their number and time depend on polls). Deliberate differences stand in
`differences_websocket`, nowhere else.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.frames import Opcode

from tests.conformance.comparing import masked
from tests.conformance.differences_websocket import (
    CLASSES,
    CONTROL_FRAMES,
    DIFFERENCES,
    FIRST_CANDLE_MEMBERS,
    UNRECORDED,
)
from tests.conformance.replay import VECTORS
from tests.conformance.test_http_recorded_answers import ENGINE_BIND, BackEnd
from tests.gateways.accessws.running import RawClient, WsClient, c_websocket
from tests.support.configs import c_config

FILE = VECTORS / "11_ws.jsonl"
LINES = 196
CANDLES_ID = 8
TIME_ID = 2
PUSHES_S = 0.3
"""After this long every poll has been made, and pushed."""

_CLOCK = re.compile(r'("[cmf]?time": )[0-9]{10}(?:\.[0-9]{1,7})?\b')
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_TIGHT = re.compile(r"[,:](?! )| [,:]|[\[{] | [\]}]")


class Line(NamedTuple):
    number: int
    connection: str
    direction: str
    frame: Any


def lines() -> Iterator[Line]:
    for number, text in enumerate(FILE.read_text().splitlines(), start=1):
        fields = json.loads(text)
        yield Line(number, fields["conn"], fields["dir"], fields["frame"])


def test_recording_is_whole() -> None:
    assert sum(1 for _ in lines()) == LINES


class AuthService(BaseHTTPRequestHandler):
    """The authentication service that stood beside the C system, and what it was asked."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        token = self.headers["Authorization"]
        self.seen.append(dict(self.headers))
        if token == "slow":
            time.sleep(1.5)
        answers: dict[str, object] = {
            "wrong": {"code": 1, "message": "bad token", "data": None},
            "nouser": {"code": 0, "message": None, "data": {}},
            "user-1": {"code": 0, "message": None, "data": {"user_id": 1}},
        }
        body = json.dumps(answers.get(token, "")).encode() if token != "junk" else b"junk"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is written."""


@pytest.fixture
def auth_url() -> Iterator[str]:
    AuthService.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), AuthService)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class View:
    """What a client knows from its pushes, without the clock."""

    def __init__(self) -> None:
        self.book: dict[str, dict[Decimal, str]] = {"asks": {}, "bids": {}}
        self.deals: set[tuple[Any, ...]] = set()
        self.latest: dict[tuple[str, str], Any] = {}
        self.orders: list[Any] = []

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    def __repr__(self) -> str:
        return repr(vars(self))

    def apply(self, text: str) -> None:
        push = json.loads(_CLOCK.sub(r"\g<1>0", text))
        method, params = push["method"], push["params"]
        if method == "depth.update":
            self._apply_depth(*params)
        elif method == "deals.update":
            ids = [deal["id"] for deal in params[1]]
            assert ids == sorted(ids, reverse=True), text
            self.deals |= {tuple(deal.items()) for deal in params[1]}
        elif method == "order.update":
            self.orders.append(params)
        elif method == "asset.update":
            for asset, balance in params[0].items():
                self.latest[method, asset] = balance
        elif method == "kline.update":
            # Which candle a deal is in depends on the minute: its close and market do not.
            self.latest[method, ""] = [params[-1][4], params[-1][7]]
        else:
            self.latest[method, params[0]] = params[1]

    def _apply_depth(self, clean: bool, sides: dict[str, list[list[str]]], market: str) -> None:
        assert market == "BTCBCH"
        if clean:
            self.book = {"asks": {}, "bids": {}}
        for side, levels in sides.items():
            for price, amount in levels:
                if Decimal(amount):
                    self.book[side][Decimal(price)] = amount
                else:
                    self.book[side].pop(Decimal(price), None)


def shape(value: Any) -> Any:
    """Members in their order, types of values; of an array what its elements look like."""
    if isinstance(value, dict):
        return [(name, shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return sorted({json.dumps(shape(member)) for member in value})
    return type(value).__name__


class Conversation:
    """One recorded connection, held again with us."""

    def __init__(self, client: WsClient) -> None:
        self.client = client
        self.recorded = View()
        self.ours = View()
        self.pushes: list[str] = []

    def read(self, timeout_s: float) -> str | None:
        """One message; a push is taken in. None: nothing came."""
        try:
            text = self.client.connection.recv(timeout_s)
        except TimeoutError:
            return None
        assert isinstance(text, str)
        assert not _TIGHT.search(_TEXT.sub('""', text).replace("[]", "x").replace("{}", "x")), text
        message = json.loads(text)
        if "method" in message:
            assert list(message) == ["method", "params", "id"] and message["id"] is None, text
            self.pushes.append(text)
            self.ours.apply(text)
        return text

    def reply(self) -> str:
        """The next message that is no push."""
        while True:
            text = self.read(10.0)
            assert text is not None, "no reply"
            if not text.startswith('{"method"'):
                return text

    def settle(self, what: str) -> None:
        """Until our pushes have led to the recorded state."""
        deadline = time.monotonic() + 10.0
        while self.ours != self.recorded:
            assert time.monotonic() < deadline, f"{what}: {self.ours} instead of {self.recorded}"
            self.read(0.05)


def test_replies_and_pushes(tmp_path: Path, auth_url: str) -> None:
    intervals = {f"{kind}_interval": 0.05 for kind in ("deals", "price", "state", "today", "kline", "depth")}
    config = c_websocket(
        ENGINE_BIND[0], auth_url=f"{auth_url}/auth", sign_url=f"{auth_url}/sign", **intervals
    )
    for name, port in (("marketprice", 7416), ("readhistory", 7424)):
        config[name]["addr"] = f"tcp@127.0.0.1:{port}"
    config["svr"]["bind"] = ["tcp@127.0.0.1:8090"]
    (tmp_path / "websocket.json").write_text(json.dumps(config))
    words = ["--accessws-config", "websocket.json", "--embedded"]
    with BackEnd(tmp_path, json.dumps(c_config(ENGINE_BIND)), *words) as back_end:
        back_end.wait_for_line("Ctrl-C stops everything")
        trade_before(back_end)
        replay = Replay(back_end)
        for line in lines():
            replay.take(line)
        replay.end()
    assert replay.differences == DIFFERENCES.keys()


def trade_before(back_end: BackEnd) -> None:
    """What was there when the recording began: the trades of the HTTP scenario."""
    back_end.ask("balance.update", [1, "BTC", "deposit", 1, "10", {}])
    back_end.ask("balance.update", [2, "BCH", "deposit", 1, "1000", {}])
    back_end.ask("order.put_limit", [1, "BTCBCH", 1, "2", "10", "0.002", "0.001", "http"])
    back_end.ask("order.put_limit", [2, "BTCBCH", 2, "0.5", "10", "0.002", "0.001", "http"])
    back_end.ask("order.put_market", [2, "BTCBCH", 2, "3", "0.002", "http"])
    back_end.ask("order.cancel", [1, "BTCBCH", 1])
    back_end.wait_until_told()


class Replay:
    """Takes one line after the other."""

    def __init__(self, back_end: BackEnd) -> None:
        self.differences: set[str] = set()
        self._back_end = back_end
        self._address = back_end.address("accessws listener ready: ")
        self._conversations: dict[str, Conversation] = {}
        self._shapes: dict[str, set[str]] = {}

    def take(self, line: Line) -> None:
        match line.direction:
            case "rpc":
                for conversation in self._conversations.values():
                    conversation.settle(f"before line {line.number}")
                self._back_end.ask(line.frame["method"], line.frame["params"])
            case "handshake":
                self._shake_hands(line)
            case "handshake failed":
                with pytest.raises(InvalidMessage):
                    WsClient(self._address, subprotocols=["other"])
            case "->" if line.connection == "frames":
                self._send_frames()
            case "->":
                self._send(line)
            case "<-" if line.connection != "frames":
                self._receive(line)
            case "requests seen":
                self._compare_requests(line.frame)
            case "pong" | "close":
                assert line.connection == "frames" and CONTROL_FRAMES in CLASSES  # see _send_frames

    def end(self) -> None:
        """After the last unsubscribe nothing has been pushed."""
        for name, conversation in self._conversations.items():
            conversation.settle(name)
        time.sleep(PUSHES_S)
        for name in ("anon", "auth"):
            conversation = self._conversations[name]
            before = len(conversation.pushes)
            conversation.client.send('{"id": 99, "method": "server.ping", "params": []}')
            assert conversation.reply() == '{"error": null, "result": "pong", "id": 99}'
            assert conversation.pushes[before:] == []
            for text in conversation.pushes:
                message = json.loads(text)
                assert json.dumps(shape(message)) in self._shapes[message["method"]], text
        for conversation in self._conversations.values():
            conversation.client.__exit__(None, None, None)

    def _shake_hands(self, line: Line) -> None:
        name = line.connection
        protocols = {"sub=None": None, "sub=['chat', 'other']": ["chat", "other"]}.get(name, ["chat"])
        client = WsClient(self._address, subprotocols=protocols)
        response = client.connection.response
        assert response is not None
        got, recorded = list(response.headers.raw_items()), [tuple(one) for one in line.frame["headers"]]
        changing = ("Date", "Sec-WebSocket-Accept")
        assert [(key, value) for key, value in got if key not in changing] == [
            (key, value) for key, value in recorded if key not in changing
        ]
        assert [key for key, _ in got] == [key for key, _ in recorded]
        assert client.connection.subprotocol == line.frame["subprotocol"]
        self._conversations[name] = Conversation(client)

    def _send(self, line: Line) -> None:
        conversation = self._conversations[line.connection]
        conversation.settle(f"before line {line.number}")
        text = line.frame
        binary = text.startswith("binary:")
        if binary:
            text = text.removeprefix("binary:")
        request = json.loads(text) if text != "{bad" else {}
        if request.get("id") == CANDLES_ID:
            now = int(time.time())
            request["params"][1:3] = [now - 3, now]
            text = json.dumps(request)
        conversation.client.send(text.encode() if binary else text)
        difference = DIFFERENCES.get(line.frame)
        if difference is None:
            return
        self.differences.add(line.frame)
        assert conversation.reply() == difference.reply
        if difference.close_code:
            with pytest.raises(ConnectionClosed) as closed:
                conversation.reply()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == difference.close_code
            del self._conversations[line.connection]

    def _receive(self, line: Line) -> None:
        conversation = self._conversations[line.connection]
        recorded = line.frame
        message = json.loads(recorded)
        if "method" in message:
            if message["method"] in ("state.update", "today.update"):
                recorded = first_price(recorded)
            self._shapes.setdefault(message["method"], set()).add(json.dumps(shape(message)))
            if message["method"] == "depth.update":
                self._allow_other_sides(message)
            conversation.recorded.apply(recorded)
            return
        got = conversation.reply()
        if message["id"] == CANDLES_ID:
            compare_candles(json.loads(got)["result"], message["result"])
        elif message["id"] == TIME_ID:
            assert re.fullmatch(r'\{"error": null, "result": [0-9]{10}, "id": 2\}', got)
        else:
            if message["id"] in (5, 6):
                recorded = first_price(recorded)
            assert stopped(got) == stopped(recorded), line.number

    def _allow_other_sides(self, message: Any) -> None:
        """Levels may be pushed whole or by halves; each side looks the same."""
        level = [json.dumps(shape(["1", "2"]))]
        for sides in ([("asks", level)], [("bids", level)], [("asks", level), ("bids", level)]):
            for empty in ([], ["asks"], ["bids"], ["asks", "bids"]):
                body = [(side, [] if side in empty else looks) for side, looks in sides]
                members = sorted({json.dumps(one) for one in ("bool", body, "str")})
                whole = [("method", "str"), ("params", members), ("id", "NoneType")]
                self._shapes["depth.update"].add(json.dumps(whole))

    def _send_frames(self) -> None:
        """Here the pong echoes its ping, and a close frame is answered."""
        with RawClient(self._address) as client:
            client.send_frame(Opcode.PING, b"payload")
            parts = (b'{"id":5,"method"', b':"server.ping",', b'"params":[]}')
            for index, part in enumerate(parts):
                opcode = Opcode.CONT if index else Opcode.TEXT
                client.send_frame(opcode, part, fin=index == len(parts) - 1)
            client.send_frame(Opcode.CLOSE, b"\x03\xe8")
            reply = b'{"error": null, "result": "pong", "id": 5}'
            assert client.read() == b"\x8a\x07payload\x81" + bytes([len(reply)]) + reply + b"\x88\x02\x03\xe8"
        self._conversations.pop("frames").client.__exit__(None, None, None)

    def _compare_requests(self, recorded: list[dict[str, Any]]) -> None:
        wanted = [
            {name: request["headers"][name] for name in ("Authorization", "Accept-Language", "Content-Type")}
            for request in recorded
        ]
        assert [
            {name: seen[name] for name in one} for one, seen in zip(wanted, AuthService.seen, strict=True)
        ] == (wanted)


def compare_candles(got: list[list[Any]], recorded: list[list[Any]]) -> None:
    """The clock decides how many of these seconds came after the first deal, and which have another."""
    assert 1 <= len(got) <= len(recorded)
    for index, (ours, theirs) in enumerate(zip(got, recorded, strict=False)):
        assert ours[0] - got[0][0] == index == theirs[0] - recorded[0][0]
        assert [*map(type, ours)] == [*map(type, theirs)] and ours[4::3] == theirs[4::3]


def first_price(text: str) -> str:
    for theirs, ours in FIRST_CANDLE_MEMBERS[1:]:
        text = text.replace(theirs, ours)
    return text


def stopped(text: str) -> str:
    return _CLOCK.sub(r"\g<1>0", masked(text))


def test_every_difference_is_recorded_or_declared_unrecorded() -> None:
    kinds = {difference.kind for difference in DIFFERENCES.values()} | {CONTROL_FRAMES}
    assert kinds == CLASSES - UNRECORDED
    sent = [line.frame for line in lines() if line.direction == "->"]
    assert all(sent.count(text) == 1 for text in DIFFERENCES)
