"""A broken packet on a connection closes that connection, without a reply, and hurts nobody else."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

import pytest

from tests.processes.witness import (
    ASSET_LIST,
    BALANCE_QUERY,
    Witness,
    asset_list_request,
    connection,
    log_lines,
    packets_until_closed,
    stops_in_order,
)
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

HEADER = struct.Struct("<IIHIIIQIH")
MAGIC = 0x70656562
MAX_PKG_SIZE = 10_240


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), toml_config()) as engine:
        yield engine
        stops_in_order(engine)


def lying(body_size: int, ext_size: int, body: bytes = b"[]", magic: int = MAGIC) -> bytes:
    """A packet whose header announces what does not follow; its checksum is right for what does."""
    header = (magic, ASSET_LIST, KIND_REQUEST, 0, 0, 1, 1, body_size, ext_size)
    checksum = crc32(HEADER.pack(*header) + body)
    return HEADER.pack(*header[:4], checksum, *header[5:]) + body


def flipped(packet: bytes, position: int) -> bytes:
    return packet[:position] + bytes([packet[position] ^ 1]) + packet[position + 1 :]


GOOD = asset_list_request()
BROKEN = {
    "magic of one": (lying(2, 0, magic=1), "bad magic"),
    "magic byte-swapped": (lying(2, 0, magic=0x62656570), "bad magic"),
    "text": (b"GET / HTTP/1.1\r\nHost: exchange\r\n\r\n" + b" " * 36, "bad magic"),
    "crc off by a bit": (flipped(GOOD, 14), "bad crc"),
    "command off by a bit": (flipped(GOOD, 4), "bad crc"),
    "body off by a bit": (flipped(GOOD, 36), "bad crc"),
    "crc of zero": (HEADER.pack(MAGIC, ASSET_LIST, 0, 0, 0, 1, 1, 2, 0) + b"[]", "bad crc"),
    "one byte too large": (lying(MAX_PKG_SIZE - 36 + 1, 0), "packet larger than max_pkg_size"),
    "ext too large": (lying(2, 65_535), "packet larger than max_pkg_size"),
    "2 GiB": (lying(2**31, 0), "packet larger than max_pkg_size"),
    "4 GiB": (lying(2**32 - 1, 0), "packet larger than max_pkg_size"),
    "sum wraps to 0": (lying(2**32 - 36, 0), "packet larger than max_pkg_size"),
    "sum wraps to 2": (lying(2**32 - 36, 2), "packet larger than max_pkg_size"),
    "sum wraps past ext": (lying(2**32 - 1, 65_535), "packet larger than max_pkg_size"),
    "heartbeat with half an option": (encode_packet(0, 0, 1, 1, b"\x01\x00"), "heartbeat"),
    "body is no JSON": (asset_list_request(body=b"[}"), "malformed body"),
    "body is an object": (asset_list_request(body=b"{}"), "malformed body"),
    "body is empty": (asset_list_request(body=b""), "malformed body"),
    "body is no UTF-8": (asset_list_request(body=b'["\xff"]'), "malformed body"),
    "body of nothing but brackets": (asset_list_request(body=b"[" * 10_000), "malformed body"),
    "body nested too deep": (asset_list_request(body=b"[" * 5_000 + b"]" * 5_000), "malformed body"),
    "integer past 64 bits": (encode_packet(BALANCE_QUERY, 0, 1, 1, b"[18446744073709551616]"), "64 bits"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_packet_closes_its_connection_only(engine: EngineProcess, name: str) -> None:
    packet, reason = BROKEN[name]
    address = engine.address("tcp")
    with Witness(engine) as witness, connection(address) as sock, connection(address) as other:
        port = sock.getsockname()[1]
        sock.sendall(packet)
        assert packets_until_closed(sock) == []
        other.sendall(GOOD)
        assert other.recv(36)[:4] == GOOD[:4]
        witness.still_served()
    wait_until(lambda: bool(log_lines(engine, f":{port}:", reason)), "the reason in the log")
    assert len(log_lines(engine, f":{port}:")) == 1, "logged once"


@pytest.mark.parametrize("name", BROKEN)
def test_requests_before_a_broken_packet_are_answered(engine: EngineProcess, name: str) -> None:
    packet, _ = BROKEN[name]
    with connection(engine.address("tcp")) as sock:
        sock.sendall(asset_list_request(7) + asset_list_request(8) + packet + asset_list_request(9))
        assert [reply.sequence for reply in packets_until_closed(sock)] == [7, 8]


def test_largest_packet_is_served(engine: EngineProcess) -> None:
    packet = asset_list_request(5, b"[" + b" " * (MAX_PKG_SIZE - 36 - 2) + b"]")
    assert len(packet) == MAX_PKG_SIZE
    with connection(engine.address("tcp")) as sock:
        sock.sendall(packet)
        assert sock.recv(36)[:4] == packet[:4]


def test_unknown_commands_get_no_reply_and_keep_the_connection(engine: EngineProcess) -> None:
    unknown = [encode_packet(command, 0, command, command, b"[]") for command in (1, 103, 301, 2**32 - 1)]
    with engine.client() as client:
        client.send(b"".join(unknown))
        assert client.call(ASSET_LIST, [])["error"] is None
