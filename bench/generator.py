"""The load generator itself: one epoll, non-blocking sockets, windows kept full.

Closed loop: what is sent to one connection goes out as one joined write. At a fixed rate latency counts
from the time a request was due, so a stall of the server is not hidden. It must not be the bottleneck:
replies are cut by their lengths and scanned, never parsed as JSON, and their checksums are not verified
(the tests do that). Both wire styles are understood. About 600,000 replies per second of one core.

The command line is `bench.load`; what is sent is decided in `bench.workload`.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections import deque
from typing import Any

import msgspec

from bench.histogram import LatencyHistogram
from bench.process import process_facts
from bench.workload import (
    BALANCE_UPDATE,
    CANCEL_EVERY,
    PACKETS,
    Mode,
    Prebuilt,
    cancel_packet,
    credit_params,
    prebuild,
)
from vxnet.address import parse_address
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import HEADER_SIZE

CONNECTIONS_MAX = 1024
WINDOW_MAX = 4096  # requests outstanding on one connection
UNSENT_BYTES_MAX = 1 << 21  # at a fixed rate: with more unsent, requests are dropped and counted
RESTING_MAX = 8192  # order ids remembered per connection, for cancels
CREDIT_TRIES = 100
CREDIT_PAUSE_S = 0.1
CONNECT_TIMEOUT_S = 10

_CANCELLED = -1  # in place of a packet's index: a cancel, built on the fly
_POSITION_MASK = PACKETS - 1
_READ_BYTES = 1 << 18
_SIZES = struct.Struct("<IH")  # body_size, ext_size; protocol.md 1.1
_SIZES_OFFSET = 30
_SUCCESS = (b'{"error":null', b'{"error": null')
_ERROR_CODE = re.compile(rb'"code": *(\d+)')
_DEAL_STOCK = b'"deal_stock":'
_NOTHING_DEALT = (b'"0"', b' "0"')
_UNAVAILABLE = 3
_OTHER = 99


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `rate` 0: closed loop. `requests` 0: for `seconds`; else exactly so many, no warm-up.

    `tick_us`: at a rate, what is due is sent so often at most, so that the generator leaves the processors to
    those it measures; latency counts from when a request was due all the same.
    """

    host: str
    port: int
    mode: Mode = "mix"
    connections: int = 4
    window: int = 32
    seconds: float = 20
    warm_up_s: float = 2
    rate: float = 0
    tick_us: int = 0
    requests: int = 0
    market: str = "BTCBCH"
    stock: str = "BTC"
    money: str = "BCH"
    users: int = 100
    seed: int = 1
    business_id: int = 0
    credit: bool = True
    unavailable_pause_us: int = 0
    pid: int = 0


class LoadError(Exception):
    """The server cannot be loaded: refused, closed, or not crediting."""


class _Connection:
    """One connection: what is outstanding in order of sending, and the order ids learnt on it."""

    __slots__ = ("blocked", "input", "output", "outstanding", "pairs_position", "resting", "sent", "socket")

    def __init__(self, number: int, connected: socket.socket) -> None:
        self.socket = connected
        self.blocked = False  # the socket takes no more; waiting until it is writable
        self.input = b""
        self.output: list[bytes] = []
        self.outstanding: deque[int] = deque()  # index of the prebuilt packet, or _CANCELLED
        self.sent: deque[tuple[float, int]] = deque()  # when, and how many at that time
        self.resting: deque[tuple[int, int]] = deque()  # user and order id
        self.pairs_position = 2 * (number * 997 + 1)


class _Tally:
    """What was answered since measuring began."""

    __slots__ = ("cancels", "errors", "latency", "orders", "takers_traded")

    def __init__(self) -> None:
        self.orders = 0
        self.cancels = 0
        self.takers_traded = 0
        self.errors: dict[int, int] = {}
        self.latency = LatencyHistogram()


class Load:
    """One run against one server. `run` does all of it; afterwards `result` is the JSON line."""

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._prebuilt: Prebuilt = prebuild(settings.mode, settings.market, settings.users, settings.seed)
        self._position = 0
        self._mix_position = 0
        self._pushed = 0
        self._dropped = 0
        self._unavailable = False
        self._hold_until_s = 0.0
        self._pauses = 0
        self._tally = _Tally()
        self._connections: list[_Connection] = []
        self._epoll = select.epoll()
        self.result: dict[str, Any] = {}

    def run(self) -> None:
        """Credits, connects, loads and closes. Raises: LoadError, OSError."""
        settings = self._settings
        try:
            if settings.credit:
                self._credit()
            facts_before = process_facts(settings.pid)
            self._connect()
            begin = time.monotonic()
            measure = begin if settings.requests else begin + settings.warm_up_s
            end = float("inf") if settings.requests else measure + settings.seconds
            self._until(measure, begin)
            self._tally = _Tally()
            processor_s = time.process_time()
            facts_measure = process_facts(settings.pid)
            self._until(end, begin)
            elapsed_s = time.monotonic() - measure
            self.result = self._summary(elapsed_s, time.process_time() - processor_s)
            if settings.pid:
                facts = process_facts(settings.pid)
                self.result["server"] = {
                    "rss_before_bytes": facts_before.resident_bytes,
                    "rss_after_bytes": facts.resident_bytes,
                    "cpu": round((facts.processor_s - facts_measure.processor_s) / elapsed_s, 2),
                }
        finally:
            self._epoll.close()
            for connection in self._connections:
                connection.socket.close()

    def _connect(self) -> None:
        for number in range(self._settings.connections):
            address = (self._settings.host, self._settings.port)
            connected = socket.create_connection(address, timeout=CONNECT_TIMEOUT_S)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setblocking(False)
            self._connections.append(_Connection(number, connected))
            self._epoll.register(connected.fileno(), select.EPOLLIN)

    def _credit(self) -> None:
        settings = self._settings
        first_id = settings.business_id or int(time.time()) * 1000
        with BlockingClient(parse_address(f"tcp@{settings.host}:{settings.port}")) as client:
            for params in credit_params(settings.users, settings.stock, settings.money, first_id):
                for _ in range(CREDIT_TRIES):
                    error = client.call(BALANCE_UPDATE, params)["error"]
                    if error is None:
                        break
                    time.sleep(CREDIT_PAUSE_S)
                else:
                    raise LoadError(f"credit refused: {error}")

    def _until(self, end: float, begin: float) -> None:
        """Keeps the load up until the monotonic time `end`, or until all `requests` are answered."""
        settings = self._settings
        window = settings.window
        by_descriptor = {connection.socket.fileno(): connection for connection in self._connections}
        due = begin if self._pushed == 0 else time.monotonic()
        turn = 0
        while True:
            now = time.monotonic()
            if now >= end or (settings.requests and self._finished()):
                return
            if not self._held(now):
                if settings.rate:
                    while due <= now:
                        self._push_due(self._connections[turn % len(self._connections)], due)
                        turn += 1
                        due += 1 / settings.rate
                else:
                    for connection in self._connections:
                        room = window - len(connection.outstanding)
                        if room > 0:
                            self._push(connection, room, now)
            for connection in self._connections:
                if connection.output and not connection.blocked:
                    self._flush(connection)
            for descriptor, events in self._wait(max(due, now + settings.tick_us * 1e-6), now):
                connection = by_descriptor[descriptor]
                if events & select.EPOLLOUT:
                    self._flush(connection)
                if events & ~select.EPOLLOUT:
                    self._read(connection)

    def _finished(self) -> bool:
        if self._pushed < self._settings.requests:
            return False
        return not any(connection.outstanding for connection in self._connections)

    def _held(self, now: float) -> bool:
        """Whether sending pauses because the server said `service unavailable` (option -B)."""
        if self._unavailable:
            self._unavailable = False
            if self._settings.unavailable_pause_us:
                self._hold_until_s = now + self._settings.unavailable_pause_us * 1e-6
                self._pauses += 1
        return now < self._hold_until_s

    def _wait(self, due: float, now: float) -> list[tuple[int, int]]:
        if self._settings.rate:
            # epoll counts in milliseconds; select on the epoll itself waits to the microsecond
            select.select([self._epoll], [], [], max(0.0, min(due - time.monotonic(), 0.1)))
            return self._epoll.poll(0)
        return self._epoll.poll(0.001 if now < self._hold_until_s else 0.1)

    def _push_due(self, connection: _Connection, due: float) -> None:
        unsent = sum(map(len, connection.output))
        if len(connection.outstanding) < WINDOW_MAX and unsent < UNSENT_BYTES_MAX:
            self._push(connection, 1, due)
        else:
            self._dropped += 1

    def _push(self, connection: _Connection, count: int, scheduled: float) -> None:
        """Queues the next `count` requests of the mode on one connection."""
        settings = self._settings
        if settings.requests:
            count = min(count, settings.requests - self._pushed)
            if count <= 0:
                return
        packets = self._prebuilt.packets
        queue = connection.output.append
        expect = connection.outstanding.append
        if settings.mode == "pairs":
            # makers and takers of one connection alternate, whatever the others do
            for position in range(connection.pairs_position, connection.pairs_position + count):
                index = position & _POSITION_MASK
                queue(packets[index])
                expect(index)
            connection.pairs_position += count
        else:
            cancelling = settings.mode == "mix"
            resting = connection.resting
            for _ in range(count):
                self._mix_position += 1
                if cancelling and resting and self._mix_position % CANCEL_EVERY == 0:
                    user, order_id = resting.popleft()
                    queue(cancel_packet(user, settings.market, order_id))
                    expect(_CANCELLED)
                else:
                    index = self._position & _POSITION_MASK
                    self._position += 1
                    queue(packets[index])
                    expect(index)
        connection.sent.append((scheduled, count))
        self._pushed += count

    def _flush(self, connection: _Connection) -> None:
        """One joined write; what the socket does not take waits until it is writable."""
        data = b"".join(connection.output)
        try:
            written = connection.socket.send(data)
        except BlockingIOError:
            written = 0
        connection.output = [data[written:]] if written < len(data) else []
        if connection.blocked != (written < len(data)):
            connection.blocked = not connection.blocked
            events = select.EPOLLIN | select.EPOLLOUT if connection.blocked else select.EPOLLIN
            self._epoll.modify(connection.socket.fileno(), events)

    def _read(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not received:
            raise LoadError("the server closed a connection")
        data = connection.input + received if connection.input else received
        count, consumed = self._scan(connection, data)
        connection.input = data[consumed:]
        now = time.monotonic()
        latency = self._tally.latency
        sent = connection.sent
        while count:
            scheduled, waiting = sent[0]
            answered = min(count, waiting)
            latency.add(now - scheduled, answered)
            count -= answered
            if answered == waiting:
                sent.popleft()
            else:
                sent[0] = (scheduled, waiting - answered)

    def _scan(self, connection: _Connection, data: bytes) -> tuple[int, int]:
        """Counts all whole replies in `data` and learns order ids: how many replies, how many bytes."""
        tally = self._tally
        users, rests = self._prebuilt.users, self._prebuilt.rests
        resting = connection.resting
        next_outstanding = connection.outstanding.popleft
        learn = self._settings.mode == "mix"
        orders = cancels = traded = refused = 0
        start, available = 0, len(data)
        while available - start >= HEADER_SIZE:
            body_size, ext_size = _SIZES.unpack_from(data, start + _SIZES_OFFSET)
            body = start + HEADER_SIZE + ext_size
            end = body + body_size
            if end > available:
                break
            start = end
            index = next_outstanding()
            if not data.startswith(_SUCCESS, body):
                self._refused(data[body:end])
                refused += 1
            elif index < 0:
                cancels += 1
            else:
                orders += 1
                dealt = data.find(_DEAL_STOCK, body, end)
                if not data.startswith(_NOTHING_DEALT, dealt + 13):
                    traded += 1
                elif learn and rests[index] and len(resting) < RESTING_MAX:
                    at = data.find(b'"id":', body) + 5
                    resting.append((users[index], int(data[at : data.find(b",", at)])))
        tally.orders += orders
        tally.cancels += cancels
        tally.takers_traded += traded
        return orders + cancels + refused, start

    def _refused(self, body: bytes) -> None:
        found = _ERROR_CODE.search(body)
        code = int(found[1]) if found else _OTHER
        self._unavailable = self._unavailable or code == _UNAVAILABLE
        self._tally.errors[code] = self._tally.errors.get(code, 0) + 1

    def _summary(self, elapsed_s: float, processor_s: float) -> dict[str, Any]:
        settings, tally = self._settings, self._tally
        errors = dict(tally.errors)
        named = {code: errors.pop(code, 0) for code in (1, _UNAVAILABLE, 10, 11)}
        ok = tally.orders + tally.cancels
        return {
            "mode": settings.mode,
            "conns": settings.connections,
            "window": settings.window,
            "rate": settings.rate,
            "secs": round(elapsed_s, 3),
            "ok": ok,
            "ok_per_s": round(ok / elapsed_s),
            "orders_ok_per_s": round(tally.orders / elapsed_s),
            "cancels_ok_per_s": round(tally.cancels / elapsed_s),
            "takers_traded_per_s": round(tally.takers_traded / elapsed_s),
            "err1": named[1],
            "err3_unavailable": named[_UNAVAILABLE],
            "err10": named[10],
            "err11": named[11],
            "err_other": sum(errors.values()),
            "dropped": self._dropped,
            "unavail_pauses": self._pauses,
            "lat_us": tally.latency.summary_us(),
            "gen_cpu": round(processor_s / elapsed_s, 2),
        }
