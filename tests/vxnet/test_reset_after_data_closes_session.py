"""A peer that sends and then resets: its data is seen and its session is closed.

With the readiness watch of uvloop 0.23 such a session stayed open for ever: the socket reports an error, the
callback reads the data that came before, and is never called again.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from tests.vxnet.net import Recorder, address_of_kind, plain_peer, run_until, serving
from vxnet.loop import EventLoop

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def test_session_is_closed(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind("tcp", tmp_path), handler) as server:
        peers = [plain_peer(server.bound[0]) for _ in range(20)]
        run_until(loop, lambda: len(server.sessions) == 20)
        for peer in peers:
            peer.send(b"request")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            peer.close()
        run_until(loop, lambda: not server.sessions)
        assert handler.data == [b"request"] * 20
        assert set(handler.reasons) == {"connection reset by peer"}


@pytest.mark.parametrize("kind", ["tcp", "stream"])
def test_peer_that_leaves_replies_unread(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    handler = Recorder()
    handler.on_data = lambda session, data: session.send(data)
    with serving(loop, address_of_kind(kind, tmp_path), handler) as server:
        with plain_peer(server.bound[0]) as peer:
            peer.send(b"one")
            run_until(loop, lambda: handler.data)
            peer.send(b"two")
        run_until(loop, lambda: not server.sessions)
        assert handler.received_bytes in (b"one", b"onetwo")
