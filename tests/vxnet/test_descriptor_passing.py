"""Descriptors over seqpacket: handed to the handler, or closed; never leaked."""

from __future__ import annotations

import os
import socket
from array import array
from pathlib import Path

import pytest

from tests.vxnet.net import (
    ClientRecorder,
    Recorder,
    address_of_kind,
    connecting,
    open_descriptors,
    plain_peer,
    run_until,
    serving,
)
from vxnet.client import Client, ClientSettings
from vxnet.loop import EventLoop
from vxnet.server import BaseHandler, Server, ServerLimits
from vxnet.session import Session


def test_from_client_to_server(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("seqpacket", tmp_path), handler) as server,
        connecting(loop, server.bound[0], ClientRecorder()) as client,
    ):
        run_until(loop, lambda: client.session)
        assert client.session is not None
        read_end, write_end = os.pipe()
        client.session.send_descriptor(write_end, b"write here")
        client.session.send(b"and a plain message")
        os.close(write_end)
        run_until(loop, lambda: handler.descriptors and handler.data)
        descriptor, payload = handler.descriptors[0]
        assert payload == b"write here"
        assert handler.data == [b"and a plain message"]
        assert not os.get_inheritable(descriptor)
        os.write(descriptor, b"through")
        assert os.read(read_end, 10) == b"through"
        os.close(descriptor)
        os.close(read_end)


def test_from_server_to_client_and_adopted(loop: EventLoop, tmp_path: Path) -> None:
    """The listener passes an accepted connection to a worker, as the gateways do."""
    worker = Recorder()
    worker.on_data = lambda session, data: session.send(data.upper())
    listener = Recorder()
    with (
        serving(loop, [], worker) as worker_server,
        serving(loop, address_of_kind("seqpacket", tmp_path), listener) as server,
    ):

        def adopt(session: Session, descriptor: int, payload: bytes) -> None:
            worker_server.adopt(socket.socket(fileno=descriptor))

        client = Client(loop, server.bound, ClientRecorder(), ClientSettings(), received_descriptor=adopt)
        client.start()
        run_until(loop, lambda: listener.sessions)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            listener.sessions[0].send_descriptor(theirs.fileno(), b"connection")
            theirs.close()
            ours.send(b"hello")
            run_until(loop, lambda: worker.data)
            ours.settimeout(5)
            assert ours.recv(10) == b"HELLO"
        client.stop()


@pytest.mark.parametrize("towards", ["server", "client"])
def test_unwanted_descriptors_are_closed(loop: EventLoop, tmp_path: Path, towards: str) -> None:
    class Plain(BaseHandler):
        session: Session | None = None

        def opened(self, session: Session) -> None:
            self.session = session

    handler = Plain()
    server = Server(loop, [address_of_kind("seqpacket", tmp_path)], handler, ServerLimits())
    server.start()
    with connecting(loop, server.bound[0], ClientRecorder()) as client:
        run_until(loop, lambda: client.session and handler.session)
        read_end, write_end = os.pipe()
        sender = handler.session if towards == "client" else client.session
        assert sender is not None
        sender.send_descriptor(write_end, b"take this")
        os.close(write_end)
        os.set_blocking(read_end, False)

        def is_closed_everywhere() -> bool:
            try:
                return os.read(read_end, 1) == b""
            except BlockingIOError:
                return False

        run_until(loop, is_closed_everywhere)
        os.close(read_end)
    server.stop()


@pytest.mark.parametrize(("count", "size"), [(2, 10), (10, 10), (1, 101), (3, 101)])
def test_too_much_at_once_closes_the_session_and_leaks_nothing(
    loop: EventLoop, tmp_path: Path, count: int, size: int
) -> None:
    handler = Recorder()
    with (
        serving(loop, address_of_kind("seqpacket", tmp_path), handler, max_pkg_size=100) as server,
        plain_peer(server.bound[0]) as peer,
        socket.socket() as passed,
    ):
        run_until(loop, lambda: handler.sessions)
        before = open_descriptors()
        several = array("i", [passed.fileno()] * count)
        peer.sendmsg([b"x" * size], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, several)])
        run_until(loop, lambda: handler.closings)
        assert handler.reasons[0].startswith("packet larger than max_pkg_size 100")
        assert not handler.descriptors
        assert open_descriptors() == before - 1


def test_other_kinds_can_not_pass_descriptors(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind("stream", tmp_path), handler) as server, plain_peer(server.bound[0]):
        run_until(loop, lambda: handler.sessions)
        with pytest.raises(AssertionError, match="stream session"):
            handler.sessions[0].send_descriptor(0, b"x")
