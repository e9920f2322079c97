"""Requests arrive in any pieces and in any number; replies come whole and in the order of the requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.processes.witness import (
    ASSET,
    ASSET_SUMMARY,
    BALANCE_QUERY,
    BALANCE_UPDATE,
    Witness,
    asset_list_request,
    connection,
    exchange,
    stops_in_order,
)
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess
from vxutils.rpc.packet import KIND_REQUEST, encode_packet

PIPELINED = 5_000
HANGING = 50


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), toml_config()) as engine:
        yield engine
        stops_in_order(engine)


def update(user: int, business_id: int) -> bytes:
    body = json.dumps([user, ASSET, "deposit", business_id, "0.5", {}]).encode()
    return encode_packet(BALANCE_UPDATE, KIND_REQUEST, business_id, business_id, body)


def query(user: int, sequence: int, *assets: str) -> bytes:
    return encode_packet(
        BALANCE_QUERY, KIND_REQUEST, sequence, sequence, json.dumps([user, *assets]).encode()
    )


def test_request_is_split_at_every_byte(engine: EngineProcess) -> None:
    with connection(engine.address("tcp")) as sock, engine.client() as other:
        whole = update(1, 1)
        for cut in range(1, len(whole)):
            packet = update(1, cut)
            sock.sendall(packet[:cut])
            # While the other client is served, the first piece is read, and nothing can come of it.
            other.call(BALANCE_QUERY, [1, ASSET])
            (reply,) = exchange(sock, packet[cut:], 1)
            assert json.loads(reply.body)["error"] is None, f"cut at {cut}: {reply}"
        available = other.call(BALANCE_QUERY, [1, ASSET])["result"][ASSET]["available"]
        assert float(available) == (len(whole) - 1) / 2


def test_requests_byte_by_byte(engine: EngineProcess) -> None:
    requests = b"".join(asset_list_request(sequence) for sequence in range(1, 6))
    with connection(engine.address("tcp")) as sock:
        for position in range(len(requests) - 1):
            sock.sendall(requests[position : position + 1])
        assert [reply.sequence for reply in exchange(sock, requests[-1:], 5)] == [1, 2, 3, 4, 5]


def test_pipelined_requests_are_answered_in_order(engine: EngineProcess) -> None:
    """Every query sees the deposits sent before it and none sent after it."""
    user = 2
    requests = b"".join(
        update(user, sequence) if sequence % 2 else query(user, sequence, ASSET)
        for sequence in range(1, PIPELINED + 1)
    )
    with Witness(engine) as witness, connection(engine.address("tcp")) as sock:
        replies = exchange(sock, requests, PIPELINED)
        witness.still_served()
    assert [reply.sequence for reply in replies] == list(range(1, PIPELINED + 1))
    for deposits, reply in enumerate(replies[1::2], start=1):
        body = json.loads(reply.body)
        assert float(body["result"][ASSET]["available"]) == deposits / 2


def test_pipelining_client_that_reads_is_not_closed_for_large_replies(engine: EngineProcess) -> None:
    """All its replies together are several times what may wait unsent for one session."""
    requests = b"".join(
        encode_packet(ASSET_SUMMARY, KIND_REQUEST, sequence, sequence, b"[]")
        for sequence in range(1, PIPELINED + 1)
    )
    with Witness(engine) as witness, connection(engine.address("tcp")) as sock:
        replies = exchange(sock, requests, PIPELINED)
        witness.still_served()
    assert [reply.sequence for reply in replies] == list(range(1, PIPELINED + 1))
    assert sum(len(reply.body) for reply in replies) > 5 * 100 * 10_240


def test_half_packets_left_hanging_hold_up_nobody(engine: EngineProcess) -> None:
    packet = asset_list_request(77)
    sockets = []
    with Witness(engine) as witness:
        for number in range(HANGING):
            context = connection(engine.address("tcp"))
            sock = context.__enter__()
            sockets.append((context, sock))
            sock.sendall(packet[: number % (len(packet) - 1) + 1])
        witness.still_served()
        for number, (context, sock) in enumerate(sockets):
            (reply,) = exchange(sock, packet[number % (len(packet) - 1) + 1 :], 1)
            assert reply.sequence == 77
            context.__exit__(None, None, None)
