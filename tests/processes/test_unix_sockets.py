"""The unix sockets: served like tcp and udp, open to owner and group only, gone after the stop."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.witness import (
    ASSET_LIST,
    Witness,
    asset_list_request,
    balance,
    connection,
    deposit,
    log_lines,
    packets_until_closed,
    stops_in_order,
)
from tests.support.configs import TCP_AND_UDP, toml_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.rpc.packet import decode_datagram

KINDS = ("stream", "dgram", "seqpacket")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    directory = tmp_path_factory.mktemp("engine")
    bind = [*TCP_AND_UDP, *(f"{kind}@{directory / kind}.sock" for kind in KINDS)]
    with EngineProcess(directory, toml_config(bind)) as engine:
        yield engine
        paths = [Path(engine.address(kind).path) for kind in KINDS]
        stops_in_order(engine)
        assert not [path for path in paths if path.exists()], "a stop leaves no socket files"


@pytest.mark.parametrize("kind", KINDS)
def test_requests_are_served(engine: EngineProcess, kind: str) -> None:
    user = 10 + KINDS.index(kind)
    with Witness(engine, kind) as witness, engine.client(kind) as client:
        deposit(client, user, 1, "2.5")
        assert balance(client, user) == "2.5"
        witness.still_served()
    with engine.client("tcp") as client:
        assert balance(client, user) == "2.5", "one exchange behind all doors"


@pytest.mark.parametrize("kind", KINDS)
def test_socket_file_is_for_owner_and_group(engine: EngineProcess, kind: str) -> None:
    assert stat.S_IMODE(Path(engine.address(kind).path).stat().st_mode) == 0o660


def test_broken_packet_closes_a_stream(engine: EngineProcess) -> None:
    with Witness(engine, "stream") as witness, connection(engine.address("stream")) as sock:
        sock.sendall(asset_list_request(1) + b"x" * 36)
        assert [reply.sequence for reply in packets_until_closed(sock)] == [1]
        witness.still_served()


@pytest.mark.parametrize(
    "message", [b"x", b"x" * 36, asset_list_request(1)[:-1], asset_list_request(1) + b" "]
)
def test_broken_message_on_seqpacket_costs_only_itself(engine: EngineProcess, message: bytes) -> None:
    with engine.client("seqpacket") as client:
        client.send(message)
        assert client.roundtrip(asset_list_request(55)).sequence == 55


def test_too_large_message_on_seqpacket_closes_the_session(engine: EngineProcess) -> None:
    with Witness(engine, "seqpacket") as witness, connection(engine.address("seqpacket")) as sock:
        sock.send(asset_list_request(1, b"[" + b" " * 20_000 + b"]"))
        assert sock.recv(1 << 16) == b""
        witness.still_served()
    assert log_lines(engine, "larger than max_pkg_size")


def test_malformed_body_on_seqpacket_closes_the_session(engine: EngineProcess) -> None:
    with connection(engine.address("seqpacket")) as sock:
        sock.send(asset_list_request(1))
        sock.send(asset_list_request(2, b"{}"))
        reply = decode_datagram(sock.recv(1 << 16), 1 << 16)
        assert not isinstance(reply, str) and reply.sequence == 1
        assert sock.recv(1 << 16) == b""


def test_clients_that_come_and_go_leave_nothing_behind(engine: EngineProcess) -> None:
    descriptors = Path(f"/proc/{engine.pid}/fd")
    with engine.client("stream") as client:
        assert client.call(ASSET_LIST, [])["error"] is None  # it is accepted, and counted
        before = len(list(descriptors.iterdir()))
        for kind in KINDS:
            for _ in range(30):
                with engine.client(kind) as visitor:
                    visitor.send(asset_list_request(1)[:20] if kind == "stream" else asset_list_request(1))
        assert client.call(ASSET_LIST, [])["error"] is None
        wait_until(lambda: len(list(descriptors.iterdir())) <= before, "the visitors' sessions to be gone")
