"""The real process: over TCP and UDP, before and after history is there, full, stopped, killed."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

from tests.gateways.readhistory.running import Service, wait_until
from tests.gateways.readhistory.samples import TOML, balance, c_config, order, write_history
from vxutils.rpc.packet import KIND_REQUEST, decode_datagram, encode_packet
from vxutils.store.embedded.schema import HISTORY_FILE

QUERY = [7, "", "", 0, 0, 0, 10]


def service(directory: Path, *arguments: str) -> Service:
    return Service("readhistory", directory, TOML, arguments)


def test_before_history_is_there_it_answers_error_2(tmp_path: Path) -> None:
    with service(tmp_path) as readhistory, readhistory.client() as client:
        assert client.call(103, QUERY)["error"]["data"]["reason"] == "history_not_there"
        assert readhistory.health()["status"] == "degraded"
        write_history(readhistory.data, balances=[balance(7, "BTC", 5)], sequence=9, time_us=6_000_000)
        result = client.call(103, QUERY)["result"]
        assert [record["asset"] for record in result["records"]] == ["BTC"]
        assert result["as_of"] == {"time": 6.0, "sequence": 9}
        wait_until(lambda: readhistory.health()["status"] == "ok", "health")
        assert "fatal" not in readhistory.log
        status, metrics = readhistory.get("/metrics")
        assert status == 200
        assert 'readhistory_requests_total{method="balance.history"} 2.0' in metrics
        assert 'readhistory_errors_total{code="2"} 1.0' in metrics
        assert "readhistory_history_sequence 9.0" in metrics


def test_c_configuration_gets_c_replies(tmp_path: Path) -> None:
    readhistory = Service("readhistory", tmp_path, c_config(), ["--embedded"])
    write_history(readhistory.data, orders=[order(3, 7, "M", 250_000)])
    with readhistory, readhistory.connect() as sock:
        sock.sendall(encode_packet(210, KIND_REQUEST, 1, 8, b"[3]"))
        reply = sock.recv(4096)
        assert reply.endswith(
            b'{"error": null, "result": {"id": 3, "ctime": 0.25, "ftime": 0.25000499999999998, "user": 7, '
            b'"market": "M", "source": "api", "type": 1, "side": 1, "price": "10", "amount": "1", '
            b'"taker_fee": "0.002", "maker_fee": "0.001", "deal_stock": "1", "deal_money": "10", '
            b'"deal_fee": "0"}, "id": 8}'
        )


def test_datagrams_are_answered_to_their_own_senders(tmp_path: Path) -> None:
    readhistory = service(tmp_path)
    write_history(readhistory.data, orders=[order(n, 7, "M", n) for n in range(1, 21)])
    with readhistory:
        target = readhistory.address("udp").sockaddr()
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
        for number, sock in enumerate(sockets, start=1):
            sock.settimeout(10)
            body = f"[{number}]".encode()
            sock.sendto(encode_packet(210, KIND_REQUEST, number, number, body, b"ext"), target)
        for number, sock in enumerate(sockets, start=1):
            packet = decode_datagram(sock.recv(65_536), 65_536)
            assert not isinstance(packet, str)
            assert (packet.sequence, packet.ext) == (number, b"ext")
            assert f'"result":{{"id":{number},'.encode() in packet.body
            sock.close()


def test_nonsense_costs_only_its_own_connection(tmp_path: Path) -> None:
    with service(tmp_path) as readhistory, readhistory.client() as client:
        with readhistory.connect() as sock:
            sock.sendall(encode_packet(103, KIND_REQUEST, 1, 1, b"{}"))
            assert sock.recv(100) == b""
        with readhistory.connect() as sock:
            for number in range(50):  # unknown ones get nothing, and the connection stays
                sock.sendall(encode_packet(999, KIND_REQUEST, number, number, b"[]"))
            sock.sendall(encode_packet(210, KIND_REQUEST, 77, 77, b"[0]"))
            assert b'"id":77}' in sock.recv(4096)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(encode_packet(210, KIND_REQUEST, 1, 1, b"7"), readhistory.address("udp").sockaddr())
        assert client.call(210, [0])["error"]["code"] == 1
        assert readhistory.log.count("unknown command 999") == 1
        assert readhistory.log.count("malformed body") >= 1


def test_a_full_queue_is_error_3_and_all_get_an_answer(tmp_path: Path) -> None:
    readhistory = service(tmp_path)
    write_history(readhistory.data, orders=[order(n, 7, "M", n) for n in range(1, 2_000)])
    with readhistory, readhistory.client() as client:
        count = 300
        packets = (
            encode_packet(208, KIND_REQUEST, number, number, b'[7,"M",0,0,0,101,2]')
            for number in range(count)
        )
        client.send(b"".join(packets))
        replies = [client.receive() for _ in range(count)]
        assert {packet.sequence for packet in replies} == set(range(count))
        refused = [packet for packet in replies if b'"queue_full"' in packet.body]
        answered = [packet for packet in replies if b'"records"' in packet.body]
        assert len(refused) + len(answered) == count
        assert refused and len(answered) >= 20  # two threads and twenty places
        assert b'"code":3' in refused[0].body


def test_a_damaged_file_is_error_2_and_one_fatal_line(tmp_path: Path) -> None:
    readhistory = service(tmp_path)
    (readhistory.data / HISTORY_FILE).write_bytes(b"no database at all" * 1000)
    with readhistory, readhistory.client() as client:
        for _ in range(20):
            assert client.call(103, QUERY)["error"]["data"]["reason"] == "history_unreadable"
        assert 1 <= readhistory.log.count("[fatal]") <= 3
        assert readhistory.health()["status"] == "degraded"


def test_a_writer_is_never_held_up(tmp_path: Path) -> None:
    """Between two queries no transaction is open: the log can be folded back whole."""
    readhistory = service(tmp_path)
    write_history(readhistory.data, balances=[balance(7, "BTC", 5)])
    with readhistory, readhistory.client() as client:
        for _ in range(10):
            assert client.call(103, QUERY)["error"] is None
        connection = sqlite3.connect(readhistory.data / HISTORY_FILE, timeout=10)
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.close()
        assert busy == 0
