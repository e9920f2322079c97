"""The real accessws, all its processes, and clients: of the `websockets` library, and of bare frames.

    with EngineProcess(...) as engine, WsGateway(tmp_path, toml_websocket(engine.address())) as gateway:
        with gateway.client() as client:
            client.call("server.ping")

`WsGateway` owns the process it started and its directory. `WsClient` is one connection; pushes that come
while it waits for a reply are kept in `pushes`.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateways.cli.main import main
from tests.gateways.accesshttp.running import NOWHERE, REPLY_TIMEOUT_S, Gateway
from vxnet.address import Address

MESSAGE_BYTES_MAX = 4 << 20


def toml_websocket(
    engine: Address | str = NOWHERE,
    *,
    listener: str = 'bind = ["tcp@127.0.0.1:0"]',
    worker_num: int = 1,
    top: str = "",
    sections: str = "",
) -> str:
    """TOML for this engine; the other backends are not in use. `listener` is the text of its table."""
    return f"""
worker_num = {worker_num}
{top}
{sections}
[[listener]]
{listener}
[monitor]
address = "tcp@127.0.0.1:0"
[matchengine]
address = ["{engine}"]
reconnect_timeout_s = 0.1
[marketprice]
address = []
[readhistory]
address = []
"""


def c_websocket(engine: Address | str, **changed: object) -> dict[str, Any]:
    """A `config.json` as an operator of the C system has it, for this engine."""

    def client(name: str, address: Address | str) -> dict[str, Any]:
        return {"name": name, "addr": str(address), "max_pkg_size": 2_000_000}

    consumer = {"brokers": "127.0.0.1:9092", "partition": 0}
    return {
        "debug": False,
        "process": {"file_limit": 0, "core_limit": 0},
        "log": {"path": "", "flag": "fatal,error,warn,info,notice", "num": 1},
        "alert": {"host": "test", "addr": ""},
        "svr": {"bind": ["tcp@127.0.0.1:0"], "max_pkg_size": 102_400, "protocol": "chat"},
        "monitor": {"bind": ["tcp@127.0.0.1:0"], "max_pkg_size": 1024},
        "matchengine": client("matchengine", engine),
        "marketprice": client("marketprice", NOWHERE),
        "readhistory": client("readhistory", NOWHERE),
        "deals": {**consumer, "topic": "deals"},
        "orders": {**consumer, "topic": "orders"},
        "balances": {**consumer, "topic": "balances"},
        "worker_num": 1,
        "auth_url": "http://127.0.0.1:1/auth",
        "sign_url": "http://127.0.0.1:1/sign",
        "depth_limit": [1, 5, 10, 20, 30, 50, 100],
        "depth_merge": ["0", "0.00000001", "0.0001", "0.1"],
        **changed,
    }


class WsGateway(Gateway):
    """One accessws. `tokens` by user, for tests to fill."""

    NAME = "accessws"

    def __init__(
        self,
        directory: Path,
        config: dict[str, Any] | str,
        *,
        arguments: Sequence[str] = (),
        data_dir: Path | None = None,
    ) -> None:
        super().__init__(directory, config, arguments=arguments, data_dir=data_dir)
        self.tokens: dict[int, str] = {}

    def client(self, index: int = 0, **options: Any) -> WsClient:
        """A connection to one of the addresses."""
        return WsClient(self.addresses[index], **options)

    def token(self, user_id: int, *words: str) -> str:
        """A token for the user."""
        return vx_token("add", str(user_id), "--data-dir", str(self.data_dir), *words)


def vx_token(*words: str) -> str:
    """What `vx token WORDS` shows."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
        assert main(["token", *words]) == 0
    return shown.getvalue().strip()


class WsClient:
    """One connection. A context manager."""

    def __init__(self, address: Address, *, timeout_s: float = REPLY_TIMEOUT_S, **options: Any) -> None:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        sock.settimeout(timeout_s)
        sock.connect(address.sockaddr())
        options.setdefault("compression", None)
        protocols = options.pop("subprotocols", ["chat"])
        self._connect = connect(
            "wss://localhost/" if "ssl" in options else "ws://localhost/",
            sock=sock,
            open_timeout=timeout_s,
            close_timeout=timeout_s,
            max_size=MESSAGE_BYTES_MAX,
            subprotocols=None if protocols is None else [Subprotocol(name) for name in protocols],
            **options,
        )
        self.connection: ClientConnection = self._connect.__enter__()
        self.pushes: list[Any] = []
        self._timeout_s = timeout_s
        self._last_id = 0

    def __enter__(self) -> WsClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._connect.__exit__(kind, error, where)

    def send(self, text: str | bytes) -> None:
        self.connection.send(text)

    def receive(self) -> str:
        """The next message. Raises: ConnectionClosed, TimeoutError."""
        text = self.connection.recv(self._timeout_s)
        assert isinstance(text, str), "servers send text"
        return text

    def request(self, method: str, params: Sequence[Any]) -> int:
        """Send one request; its id."""
        self._last_id += 1
        self.send(json.dumps({"id": self._last_id, "method": method, "params": list(params)}))
        return self._last_id

    def reply(self, request_id: int) -> Any:
        """The reply to it."""
        while True:
            message = json.loads(self.receive())
            if message["id"] == request_id:
                return message
            self.pushes.append(message)

    def call(self, method: str, *params: Any) -> Any:
        """One request and its reply."""
        return self.reply(self.request(method, params))

    def code(self, method: str, *params: Any) -> int:
        """The error code of a call, 0 for none."""
        error = self.call(method, *params)["error"]
        return 0 if error is None else int(error["code"])

    def push(self, method: str) -> Any:
        """The next push of this kind."""
        while True:
            for index, message in enumerate(self.pushes):
                if message["method"] == method:
                    return self.pushes.pop(index)
            self.pushes.append(json.loads(self.receive()))

    def close_code(self) -> int:
        """Waits for the server to close; the code it says. Everything else that comes is kept."""
        while True:
            try:
                self.pushes.append(json.loads(self.receive()))
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else 1006


class RawClient:
    """One connection after its handshake, for frames that a client of good manners never sends."""

    def __init__(self, address: Address, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        self.socket = socket.socket(address.family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        self.socket.connect(address.sockaddr())
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )
        self._received = b""
        while b"\r\n\r\n" not in self._received:
            self._received += self.socket.recv(4096)
        assert self._received.startswith(b"HTTP/1.1 101 "), self._received
        self._received = self._received.partition(b"\r\n\r\n")[2]

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.socket.close()

    def send_frame(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        self.socket.sendall(Frame(opcode, data, fin).serialize(mask=True))

    def read(self) -> bytes:
        """Everything until the server closes."""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(1 << 16):
                self._received += data
        return self._received
