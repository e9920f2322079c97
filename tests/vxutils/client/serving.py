"""A server of scripted answers on a real socket, and both clients behind one blocking face."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from vxnet.loop import new_event_loop
from vxutils.client import AsyncClient, Client
from vxutils.rpc.packet import Packet, encode_reply, split_packets

DEADLINE_S = 10.0
CLIENTS = ("blocking", "async")


class Seen(msgspec.Struct):
    """One request as it came: on which connection (from 1), its head, its body."""

    connection: int
    head: str
    body: Any
    packet: Packet | None = None


class Silent:
    """An answer that never comes."""


Step = bytes | None | Silent | Callable[[Seen], bytes]
"""Bytes to answer; None: close without an answer; Silent; or made from the request."""


class ScriptedServer:
    """Takes one step of the script per request, in order; closes after an answer with `Connection: close`."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._steps = list(steps)
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close_connections(self) -> None:
        """As a server does with idle ones."""
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the one who accepts
        self._thread.join(DEADLINE_S)
        self._listener.close()
        self.close_connections()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(DEADLINE_S)
                self._open.append(sock)
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with sock, suppress(OSError):
            data = b""
            while True:
                received = sock.recv(65536)
                if not received:
                    return
                data += received
                request, data = _take_request(data, number)
                if request is None:
                    continue
                with self._lock:
                    self.seen.append(request)
                    step = self._steps.pop(0)
                if isinstance(step, Silent):
                    continue
                answer = step(request) if callable(step) else step
                if answer is None:
                    return
                sock.sendall(answer)
                if b"\r\nConnection: close\r\n" in answer:
                    return


def _take_request(data: bytes, connection: int) -> tuple[Seen | None, bytes]:
    if data.startswith(b"POST"):
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            return None, data
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(rest) < size:
            return None, data
        return Seen(connection, head.decode(), json.loads(rest[:size])), rest[size:]
    packets, consumed = split_packets(data, 1 << 20)
    if not packets:
        return None, data
    return Seen(connection, "", json.loads(packets[0].body), packets[0]), data[consumed:]


def http(body: object, status: str = "200 OK", headers: str = "") -> bytes:
    """A reply; `body` is bytes, or an object to be written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data


def result(value: object, headers: str = "") -> Callable[[Seen], bytes]:
    """The right answer, over HTTP."""
    return lambda seen: http({"error": None, "result": value, "id": seen.body["id"]}, headers=headers)


def error(code: int, data: object = None, status: str = "200 OK") -> Callable[[Seen], bytes]:
    members = {"code": code, "message": "as scripted"} | ({} if data is None else {"data": data})
    return lambda seen: http({"error": members, "result": None, "id": seen.body["id"]}, status)


def rpc_result(value: object) -> Callable[[Seen], bytes]:
    def make(seen: Seen) -> bytes:
        assert seen.packet is not None
        body = {"error": None, "result": value, "id": seen.packet.request_id}
        return encode_reply(seen.packet, json.dumps(body).encode())

    return make


@contextmanager
def scripted(*steps: Step) -> Iterator[ScriptedServer]:
    server = ScriptedServer(steps)
    try:
        yield server
    finally:
        server.stop()


class Caller:
    """Either client; calls are made one after another."""

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        self._loop = new_event_loop()
        options.setdefault("timeout_s", DEADLINE_S)
        self._client: Client | AsyncClient = (
            Client(url, **options) if kind == "blocking" else AsyncClient(url, **options)
        )

    def call(self, method: str, *parameters: Any, key: str | None = None) -> Any:
        outcome = self._client.call(method, *parameters, idempotency_key=key)
        return self._loop.run_until_complete(outcome) if asyncio.iscoroutine(outcome) else outcome

    def disconnect(self) -> None:
        """`close` of the client."""
        closing = self._client.close()
        if asyncio.iscoroutine(closing):
            self._loop.run_until_complete(closing)

    def close(self) -> None:
        self.disconnect()
        self._loop.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
