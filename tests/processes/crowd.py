"""A crowd of light websocket clients in one thread: they subscribe, keep what they get, and come back.

    with Crowd(address) as crowd:
        watchers = [Watcher(crowd, "BTCUSDT", 5, "0") for _ in range(900)]
        crowd.start()

What many clients are sent alike is looked at once: bytes are split and decoded once. A broken rule ends the
thread and is raised by `check`. What a client makes of its pushes is in `crowd_members`.
"""

from __future__ import annotations

import functools
import json
import select
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.vxutils.ws.driving import TEXT, frame, split_frames, upgrade
from vxnet.address import Address

READ_BYTES = 1 << 18
RECONNECT_S = 0.05
JOIN_TIMEOUT_S = 20.0
PAYLOADS_KEPT = 20_000


class Crowd:
    """All clients of one address, and the thread that serves them."""

    def __init__(self, address: Address) -> None:
        self.members: list[Member] = []
        self._address = address
        self._poll = select.epoll()
        self._by_descriptor: dict[int, Member] = {}
        self._again: list[tuple[float, Member]] = []
        self._failure: BaseException | None = None
        self._is_leaving = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._is_leaving = True
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)
        for member in self._by_descriptor.values():
            member.socket.close()
        self._poll.close()
        if error is None:
            self.check()

    def start(self) -> None:
        """All members connect, and are served from now on."""
        for member in self.members:
            self._connect(member)
        self._thread.start()

    def check(self) -> None:
        """Raises what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_leaving:
                for descriptor, _ in self._poll.poll(RECONNECT_S):
                    self._serve(self._by_descriptor[descriptor])
                now = time.monotonic()
                due = [member for at, member in self._again if at <= now]
                self._again = [(at, member) for at, member in self._again if at > now]
                for member in due:
                    self._connect(member)
        except BaseException as error:
            self._failure = error

    def _connect(self, member: Member) -> None:
        sock = socket.socket(self._address.family, socket.SOCK_STREAM)
        try:
            sock.connect(self._address.sockaddr())
            member.begin(sock)
        except OSError:  # nobody listens at present
            sock.close()
            self._again.append((time.monotonic() + RECONNECT_S, member))
            return
        self._by_descriptor[sock.fileno()] = member
        self._poll.register(sock, select.EPOLLIN)

    def _serve(self, member: Member) -> None:
        try:
            data = member.socket.recv(READ_BYTES)
            if data:
                member.received(data)
                return
        except ConnectionError:
            pass
        self._poll.unregister(member.socket)
        del self._by_descriptor[member.socket.fileno()]
        member.socket.close()
        member.lost()
        self._again.append((time.monotonic() + RECONNECT_S, member))


class Member:
    """One client. `script`: requests, each of which is sent when the one before has succeeded."""

    def __init__(self, crowd: Crowd, script: Sequence[tuple[str, Sequence[Any]]]) -> None:
        self.losses = 0
        self.port = 0
        """Of our end of the connection."""
        self.is_joined = False
        """Whether the script is done on this connection."""
        self.socket = socket.socket()
        self._script = script
        self._step = 0
        self._is_upgraded = False
        self._buffer = b""
        crowd.members.append(self)

    def begin(self, sock: socket.socket) -> None:
        """A new connection. Raises: OSError."""
        self.socket.close()
        self.socket = sock
        self.port = sock.getsockname()[1]
        self._buffer = b""
        self._step = 0
        self._is_upgraded = False
        self.reset()
        sock.sendall(upgrade())

    def lost(self) -> None:
        """The connection has ended."""
        self.is_joined = False
        self.losses += 1

    def received(self, data: bytes) -> None:
        data = self._buffer + data
        self._buffer = b""
        if not self._is_upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._is_upgraded = True
            self._next()
        payloads, used = split(data)
        self._buffer = data[used:]
        for payload in payloads:
            if payload.startswith(b'{"method"'):
                self.pushed(payload, decoded(payload))
            else:
                self._replied(decoded(payload))

    def reset(self) -> None:
        """A connection begins: nothing is known."""

    def pushed(self, payload: bytes, push: Any) -> None:
        """One push. `push` is shared with others and not to be changed."""

    def replied(self, method: str, reply: Any) -> None:
        """A request of the script has succeeded."""

    def _replied(self, reply: Any) -> None:
        assert reply["id"] == self._step, reply
        method, params = self._script[self._step - 1]
        assert reply["error"] is None, (method, params, reply)
        self.replied(method, reply)
        self._next()

    def _next(self) -> None:
        if self._step == len(self._script):
            self.is_joined = True
            return
        method, params = self._script[self._step]
        self._step += 1
        self.socket.sendall(
            frame(TEXT, json.dumps({"id": self._step, "method": method, "params": list(params)}))
        )


@functools.lru_cache(maxsize=PAYLOADS_KEPT)
def split(data: bytes) -> tuple[list[bytes], int]:
    """The payloads of the whole text frames at the beginning of data, and how many bytes they take."""
    found = split_frames(data)
    texts = [got.payload for got in found if got.first == 0x80 | TEXT]
    return texts, sum(len(got.payload) + header_bytes(len(got.payload)) for got in found)


def header_bytes(length: int) -> int:
    """Source: RFC 6455 5.2, without a mask."""
    return 2 + (0 if length < 126 else 2 if length < 1 << 16 else 8)


@functools.lru_cache(maxsize=PAYLOADS_KEPT)
def decoded(payload: bytes) -> Any:
    return json.loads(payload)


def ports_of(pid: int) -> set[int]:
    """The ports of the peers that a process is connected to over IPv4. Source: proc(5), net/tcp."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(entry.readlink()))
        except OSError:
            continue  # closed meanwhile
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in inodes}
