"""Datagrams: good ones are answered to their own sender, everything else is dropped, the socket stays."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.witness import (
    ASSET_LIST,
    Witness,
    asset_list_request,
    balance,
    deposit,
    log_lines,
    stops_in_order,
)
from tests.support.configs import TCP_AND_UDP, toml_config
from tests.support.processes import EngineProcess
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import KIND_REPLY, KIND_REQUEST, encode_packet

KINDS = ("udp", "dgram")
MARKET_SUMMARY = 308
GOOD = asset_list_request(1)
FLOOD = 3_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    directory = tmp_path_factory.mktemp("engine")
    bind = [*TCP_AND_UDP, f"dgram@{directory / 'requests.sock'}"]
    with EngineProcess(directory, toml_config(bind)) as engine:
        yield engine
        stops_in_order(engine)


DROPPED = {
    "empty": b"",
    "one byte": GOOD[:1],
    "half a header": GOOD[:18],
    "a header alone": GOOD[:36],
    "last byte missing": GOOD[:-1],
    "a byte too many": GOOD + b" ",
    "two packets": GOOD + GOOD,
    "bad magic": b"x" + GOOD[1:],
    "bad crc": GOOD[:14] + b"\0\0\0\0" + GOOD[18:],
    "larger than max_pkg_size": asset_list_request(1, b"[" + b" " * 10_203 + b"]"),
    "much larger than max_pkg_size": asset_list_request(1, b"[" + b" " * 50_000 + b"]"),
    "size of 4 GiB": GOOD[:30] + b"\xff\xff\xff\xff" + GOOD[34:],
    "no JSON": asset_list_request(1, b"[}"),
    "JSON object": asset_list_request(1, b"{}"),
    "unknown command": encode_packet(999, KIND_REQUEST, 1, 1, b"[]"),
    "heartbeat with half an option": encode_packet(0, KIND_REQUEST, 1, 1, b"\x01\x00"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DROPPED)
def test_bad_datagram_is_dropped_and_the_next_one_served(engine: EngineProcess, kind: str, name: str) -> None:
    """The C system ran the *previous* request again for a short one: what came before must stay undone."""
    with engine.client(kind) as client:
        client.send(DROPPED[name])
        reply = client.roundtrip(asset_list_request(4711))
        assert (reply.sequence, reply.kind) == (4711, KIND_REPLY), (
            "no reply to the bad one, one to the good one"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_stray_bytes_do_not_repeat_a_deposit(engine: EngineProcess, kind: str) -> None:
    user = 10 + KINDS.index(kind)
    with Witness(engine) as witness, engine.client(kind) as client:
        deposit(client, user, 1)
        for _ in range(20):
            client.send(b"bee")
            client.send(encode_packet(102, KIND_REQUEST, 9, 9, b"")[:5])
        witness.still_served()
        assert balance(client, user) == "1"


@pytest.mark.parametrize("kind", KINDS)
def test_heartbeat_is_answered(engine: EngineProcess, kind: str) -> None:
    with Witness(engine, kind) as witness, engine.client(kind) as client:
        for sequence in range(1, 6):
            reply = client.roundtrip(encode_packet(0, KIND_REQUEST, sequence, 9, b""))
            assert (reply.command, reply.kind, reply.sequence, reply.body) == (0, KIND_REPLY, sequence, b"")
        witness.still_served()


@pytest.mark.parametrize("kind", KINDS)
def test_reply_goes_to_the_sender_of_its_request(engine: EngineProcess, kind: str) -> None:
    """Two clients send in turn before either reads: each finds the replies to its own requests, in order."""
    turns = 50
    with engine.client(kind) as first, engine.client(kind) as second:
        for turn in range(1, turns + 1):
            first.send(asset_list_request(1_000 + turn))
            second.send(asset_list_request(2_000 + turn))
            if turn % 10 == 0:  # a full queue of the socket would drop replies, as is a datagram's right
                expected = range(turn - 9, turn + 1)
                assert [first.receive().sequence for _ in expected] == [1_000 + n for n in expected]
                assert [second.receive().sequence for _ in expected] == [2_000 + n for n in expected]


def test_sender_without_a_name_is_served_but_not_answered(engine: EngineProcess) -> None:
    user = 20
    address = engine.address("dgram")
    with Witness(engine, "dgram") as witness, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        body = b'[20, "BTC", "deposit", 1, "3", {}]'
        nameless.sendto(encode_packet(102, KIND_REQUEST, 1, 1, body), address.path)
        witness.still_served()
        with engine.client() as client:
            assert balance(client, user) == "3"


def test_sender_that_is_gone_before_its_reply_hurts_nobody(engine: EngineProcess, tmp_path: Path) -> None:
    with Witness(engine, "dgram") as witness:
        for number in range(20):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
                path = tmp_path / f"{number}.sock"
                gone.bind(str(path))
                gone.sendto(GOOD, engine.address("dgram").path)
            path.unlink()
        witness.still_served()


def test_flood_of_garbage_is_dropped_with_few_words(engine: EngineProcess) -> None:
    noise = random.Random(7)  # any seed will do: nothing of it can be a packet
    lines_before = len(log_lines(engine, "peer"))
    with Witness(engine) as witness, BlockingClient(engine.address("udp")) as client:
        for _ in range(FLOOD):
            client.send(noise.randbytes(noise.randrange(0, 1_400)))
        witness.still_served()
    with engine.client("udp", timeout_s=1.0) as client:
        for _ in range(10):  # the socket's queue may still be full of noise when we come
            try:
                assert client.call(ASSET_LIST, [])["error"] is None
                break
            except TimeoutError:
                continue
        else:
            raise AssertionError("no datagram is answered after the flood")
    assert len(log_lines(engine, "peer")) - lines_before < 60, "one line per datagram would fill the disk"


def test_reply_larger_than_a_datagram_is_dropped(engine: EngineProcess) -> None:
    """It can not be sent; neither the socket nor its sender suffers."""
    markets = json.dumps(["BTCBCH"] * 900).encode()  # about 80 KB of result
    with Witness(engine, "udp") as witness, engine.client("udp") as client:
        client.send(encode_packet(MARKET_SUMMARY, KIND_REQUEST, 99, 99, markets))
        assert client.roundtrip(asset_list_request(100)).sequence == 100, "only the one after it is answered"
        witness.still_served()
