"""Clients that flood, stall, never read or only occupy: nobody else is hurt, and memory stays bounded."""

from __future__ import annotations

import json
import random
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes.witness import (
    ASSET_LIST,
    BALANCE_QUERY,
    Witness,
    asset_list_request,
    connection,
    exchange,
    log_lines,
    stops_in_order,
)
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

BUF_LIMIT, MAX_PKG_SIZE = 10, 10_240  # so that a session may leave 100 KB unsent
NEVER_READING = 8
MEMORY_GROWTH_BYTES_MAX = 48 << 20
GARBAGE_CONNECTIONS, GARBAGE_BYTES = 100, 200_000
DESCRIPTORS_SPARE = 200


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    server = {"buf_limit": BUF_LIMIT, "max_pkg_size": MAX_PKG_SIZE, "write_mem": 16_384}
    with EngineProcess(tmp_path_factory.mktemp("engine"), toml_config(server=server)) as engine:
        yield engine
        stops_in_order(engine)


def test_client_that_never_reads_is_closed(engine: EngineProcess) -> None:
    """It asks for replies and takes none: closed at buf_limit, whatever it has in flight is not kept."""
    body = json.dumps([1]).encode()
    requests = b"".join(encode_packet(BALANCE_QUERY, KIND_REQUEST, n, n, body) for n in range(1_000))
    before = engine.resident_bytes
    with Witness(engine) as witness, ExitStack() as stack:
        ports = set()
        for _ in range(NEVER_READING):
            sock = stack.enter_context(connection(engine.address("tcp"), receive_buffer=4_096))
            ports.add(sock.getsockname()[1])
            send_until_closed(sock, requests)
        witness.still_served()
        assert engine.resident_bytes - before < MEMORY_GROWTH_BYTES_MAX
    for port in ports:
        lines = log_lines(engine, f":{port}:")
        assert len(lines) == 1 and "no send buf" in lines[0], lines


def test_client_that_stops_reading_and_goes_on_is_served(engine: EngineProcess) -> None:
    """As long as it stays below buf_limit a pause of its own costs it nothing."""
    body = json.dumps([1]).encode()
    requests = b"".join(encode_packet(BALANCE_QUERY, KIND_REQUEST, n, n, body) for n in range(100))
    with Witness(engine) as witness, connection(engine.address("tcp"), receive_buffer=4_096) as sock:
        sock.sendall(requests)
        witness.still_served(20)
        assert [reply.sequence for reply in exchange(sock, b"", 100)] == list(range(100))


def test_flood_of_garbage_closes_only_those_who_send_it(engine: EngineProcess) -> None:
    noise = random.Random(11).randbytes(GARBAGE_BYTES)
    before = engine.resident_bytes
    with Witness(engine) as witness:
        for number in range(GARBAGE_CONNECTIONS):
            with connection(engine.address("tcp")) as sock:
                send_until_closed(sock, noise[number:])
        witness.still_served()
    assert engine.resident_bytes - before < MEMORY_GROWTH_BYTES_MAX


def test_large_packets_without_an_end_are_not_collected(engine: EngineProcess) -> None:
    """Each connection may hold one packet that is not whole yet, not more."""
    almost = asset_list_request(1, b"[" + b" " * 10_000 + b"]")[:-1]
    before = engine.resident_bytes
    with Witness(engine) as witness, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connection(engine.address("tcp"))).sendall(almost)
        witness.still_served()
        assert engine.resident_bytes - before < MEMORY_GROWTH_BYTES_MAX


def test_connections_that_come_and_go_at_once(engine: EngineProcess) -> None:
    with Witness(engine) as witness:
        for number in range(500):
            with connection(engine.address("tcp")) as sock:
                if number % 2:
                    sock.sendall(asset_list_request(1))  # and gone before the reply
        witness.still_served()


def test_thousand_idle_connections(engine: EngineProcess) -> None:
    hold_idle_connections(engine, 1_000)


@pytest.mark.soak
def test_ten_thousand_idle_connections(engine: EngineProcess) -> None:
    hold_idle_connections(engine, 10_000)


def hold_idle_connections(engine: EngineProcess, count: int) -> None:
    """All are open at once; new and old ones are served; then every single one still works."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + DESCRIPTORS_SPARE:
        pytest.skip(f"the system allows {hard} open files")
    soft = count + DESCRIPTORS_SPARE
    own_soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if own_soft != resource.RLIM_INFINITY and own_soft < soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.prlimit(engine.pid, resource.RLIMIT_NOFILE, (soft, hard))
    before = open_files(engine)
    with Witness(engine) as witness, ExitStack() as stack:
        idle = [stack.enter_context(connection(engine.address("tcp"))) for _ in range(count)]
        witness.still_served(20)
        with engine.client() as client:
            assert client.call(ASSET_LIST, [])["error"] is None
        for number, sock in enumerate(idle):
            sock.sendall(asset_list_request(number))
        for number, sock in enumerate(idle):
            assert int.from_bytes(sock.recv(1 << 16)[18:22], "little") == number
        witness.still_served(20)
    wait_until(lambda: open_files(engine) <= before, "the closed connections to be gone")


def open_files(engine: EngineProcess) -> int:
    return len(list(Path(f"/proc/{engine.pid}/fd").iterdir()))


def send_until_closed(sock: socket.socket, data: bytes, timeout_s: float = 10.0) -> None:
    """Send `data` again and again, reading nothing. Raises: AssertionError if it is never closed."""
    sock.setblocking(False)
    view = memoryview(data)
    deadline = time.monotonic() + timeout_s
    closed = select.poll()
    closed.register(sock, select.POLLOUT)
    while time.monotonic() < deadline:
        for _, events in closed.poll(100):
            if events & (select.POLLERR | select.POLLHUP):
                return
        try:
            view = view[sock.send(view) :] or memoryview(data)
        except BlockingIOError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return
    raise AssertionError("never closed")
