"""Starting: all binds or none, refusals in words. Stopping: nothing left behind that is ours."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.vxnet.net import Recorder, address_of_kind, open_descriptors, plain_peer, run_until, serving
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError, AddressInUseError
from vxnet.loop import EventLoop
from vxnet.server import Server, ServerLimits

UNIX_KINDS = ["stream", "dgram", "seqpacket"]


def refusal(loop: EventLoop, *addresses: Address) -> AddressError:
    server = Server(loop, addresses, Recorder(), ServerLimits())
    before = open_descriptors()
    with pytest.raises(AddressError) as caught:
        server.start()
    assert open_descriptors() == before
    return caught.value


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_taken_port(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    with serving(loop, address_of_kind(kind, tmp_path), Recorder()) as server:
        error = refusal(loop, server.bound[0])
    assert isinstance(error, AddressInUseError)
    assert str(error) == f"{server.bound[0]}: address already in use"


def test_all_or_nothing(loop: EventLoop, tmp_path: Path) -> None:
    path = address_of_kind("stream", tmp_path)
    with serving(loop, address_of_kind("tcp", tmp_path), Recorder()) as taken:
        refusal(loop, path, address_of_kind("tcp", tmp_path), taken.bound[0])
        assert list(tmp_path.iterdir()) == []


def test_not_an_address_of_this_machine(loop: EventLoop) -> None:
    error = refusal(loop, parse_address("tcp@192.0.2.1:0"))
    assert str(error) == "tcp@192.0.2.1:0: cannot assign requested address"
    assert not isinstance(error, AddressInUseError)


def test_port_is_free_again_after_stop(loop: EventLoop, tmp_path: Path) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind("tcp", tmp_path), handler) as server:
        address = server.bound[0]
        peer = plain_peer(address)
        run_until(loop, lambda: handler.sessions)
    assert peer.recv(10) == b""
    assert handler.closings == [(1, "server stopped")]
    with serving(loop, address, Recorder()) as again:
        assert again.bound == [address]
    peer.close()


@pytest.mark.parametrize("kind", UNIX_KINDS)
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_unix_file_is_0660_and_removed(loop: EventLoop, tmp_path: Path, kind: str, umask: int) -> None:
    address = address_of_kind(kind, tmp_path)
    old = os.umask(umask)
    try:
        with serving(loop, address, Recorder()):
            assert stat.S_IMODE(Path(address.path).stat().st_mode) == 0o660
    finally:
        os.umask(old)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", UNIX_KINDS)
def test_file_of_a_dead_process_is_replaced(loop: EventLoop, tmp_path: Path, kind: str) -> None:
    address = address_of_kind(kind, tmp_path)
    with socket.socket(address.family, address.socktype) as dead:
        dead.bind(address.path)
    assert Path(address.path).exists()
    with serving(loop, address, Recorder()), plain_peer(address) as peer:
        peer.send(b"x")


@pytest.mark.parametrize("kind", UNIX_KINDS)
@pytest.mark.parametrize("living", UNIX_KINDS)
def test_file_of_a_living_process_is_left_alone(
    loop: EventLoop, tmp_path: Path, kind: str, living: str
) -> None:
    handler = Recorder()
    with serving(loop, address_of_kind(living, tmp_path), handler) as server:
        address = address_of_kind(kind, tmp_path)
        error = refusal(loop, address)
        assert isinstance(error, AddressInUseError)
        assert str(error) == f"{address}: address already in use"
        with plain_peer(server.bound[0]) as peer:
            peer.send(b"x")
            run_until(loop, lambda: handler.data or handler.datagrams)


def test_listener_with_a_full_backlog_is_alive(loop: EventLoop, tmp_path: Path) -> None:
    address = address_of_kind("stream", tmp_path)
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(address.path)
        busy.listen(0)
        waiting.connect(address.path)
        assert isinstance(refusal(loop, address), AddressInUseError)


def test_a_file_that_is_no_socket_is_left_alone(loop: EventLoop, tmp_path: Path) -> None:
    address = address_of_kind("stream", tmp_path)
    Path(address.path).write_text("precious")
    assert str(refusal(loop, address)) == f"{address}: there is a file that is not a socket"
    assert Path(address.path).read_text() == "precious"


def test_folder_must_exist(loop: EventLoop, tmp_path: Path) -> None:
    address = parse_address(f"stream@{tmp_path}/none/server.sock")
    assert str(refusal(loop, address)) == f"{address}: the folder {tmp_path}/none does not exist"


def test_a_path_that_somebody_else_took_over_is_not_removed(loop: EventLoop, tmp_path: Path) -> None:
    address = address_of_kind("stream", tmp_path)
    with serving(loop, address, Recorder()):
        Path(address.path).rename(tmp_path / "moved")
        Path(address.path).write_text("theirs")
    assert Path(address.path).read_text() == "theirs"


def test_stop_twice_and_before_start(loop: EventLoop, tmp_path: Path) -> None:
    server = Server(loop, [address_of_kind("tcp", tmp_path)], Recorder(), ServerLimits())
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_stop_leaves_no_descriptor(loop: EventLoop, tmp_path: Path) -> None:
    kinds = ["tcp", "udp", *UNIX_KINDS]
    addresses = [address_of_kind(kind, tmp_path, f"{kind}.sock") for kind in kinds]
    before = open_descriptors()
    handler = Recorder()
    with serving(loop, addresses, handler) as server:
        peers = [plain_peer(address) for address in server.bound]
        run_until(loop, lambda: len(handler.sessions) == 3)
    for peer in peers:
        peer.close()
    assert open_descriptors() == before
