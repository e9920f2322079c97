"""The client of `websockets`, another implementation in another process, with pings of both sides."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

ROOT = Path(__file__).resolve().parents[2]
PING_S = 0.1


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    command = [sys.executable, "-m", "tests.rfc6455.echo", "0", str(PING_S)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == 0


def client(port: int, compression: str | None) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{port}/",
        subprotocols=[Subprotocol("chat")],
        compression=compression,
        ping_interval=PING_S,
        ping_timeout=5,
        max_size=None,
    )


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_and_pings(port: int, compression: str | None) -> None:
    with client(port, compression) as websocket:
        assert websocket.subprotocol == "chat"
        assert bool(websocket.protocol.extensions) is (compression is not None)
        until = time.monotonic() + 6 * PING_S  # twice what the server waits for a sign of life
        while time.monotonic() < until:
            time.sleep(PING_S)
        for message in ("", "κόσμε", "x" * 300_000, b"\x00\xff", ["in ", "three ", "parts"]):
            websocket.send(message)
            expected = "".join(message) if isinstance(message, list) else message
            assert websocket.recv(timeout=10) == expected
        assert websocket.ping("payload").wait(10)
        assert websocket.latency >= 0
    assert websocket.close_code == CloseCode.NORMAL_CLOSURE


def test_a_fault_is_explained(port: int) -> None:
    with client(port, None) as websocket:
        websocket.socket.sendall(b"\x83\x80\x00\x00\x00\x00")
        with pytest.raises(ConnectionClosed) as caught:
            websocket.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1002, "invalid opcode")
