"""HTTP over TLS: the same answers, however the ciphertext is split, and an end for whoever breaks TLS."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Pair, make_certificate
from tests.vxutils.http.driving import Served, get, post, serving, split_answers
from tests.vxutils.http.secured import TlsClient
from vxnet.tls import TlsCertificate, TlsUnusable
from vxutils.http import HttpLimits

MIB = 1024 * 1024
LARGE = HttpLimits(body_bytes_max=32 * MIB, output_bytes_max=64 * MIB)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_certificate(tmp_path_factory.mktemp("tls"), "first")


@pytest.fixture
def served(pair: Pair) -> Iterator[Served]:
    with serving(LARGE, tls=TlsCertificate(pair.certificate, pair.key)) as one:
        yield one


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_ciphertext_byte_by_byte(served: Served, pair: Pair, version: ssl.TLSVersion) -> None:
    client = TlsClient(served, pair.certificate, piece=1, version=version).shake_hands()
    client.send(post(b"one") + post(b"two"))
    client.pull_until(1)
    while len(split_answers(client.received)) < 2:
        client.pull_something()
    assert [body for _, body in split_answers(client.received)] == [b"POST / one", b"POST / two"]


def test_handshake_and_request_in_one_packet(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.push()
    client.plain.until(lambda: client.plain.received)
    client._incoming.write(client.plain.received)
    client.plain.received = b""
    client.tls.do_handshake()
    client.send(get("/early"))  # together with the end of the handshake
    client.pull_until(1)
    assert split_answers(client.received) == [(200, b"GET /early ")]


def test_large_bodies_both_ways_through_a_small_window(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate, receive_buffer=4096).shake_hands()
    body = bytes(range(256)) * (8 * MIB // 256)
    client.send(post(body))
    session = next(iter(served.server.sessions.values()))
    served.run_until(lambda: session.pending_output)
    assert client.pull_until(len(body)).endswith(body[-1000:])
    assert split_answers(client.received) == [(200, b"POST / " + body)]
    served.run_until(lambda: not session.pending_output)


def test_output_is_bounded_in_plain_bytes(pair: Pair) -> None:
    limits = HttpLimits(body_bytes_max=32 * MIB, output_bytes_max=4 * MIB)
    with serving(limits, tls=TlsCertificate(pair.certificate, pair.key)) as served:
        client = TlsClient(served, pair.certificate, receive_buffer=4096).shake_hands()
        served.handler.on_request = lambda exchange: exchange.respond(200, b"a" * (16 * MIB))
        client.send(get())
        served.run_until(lambda: not served.server.sessions)


def test_goodbye_of_the_client_still_gets_the_answer(served: Served, pair: Pair) -> None:
    served.handler.holds = True
    client = TlsClient(served, pair.certificate).shake_hands()
    client.tls.write(post(b"last"))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()  # close_notify, in the same packet as the request
    client.push()
    served.run_until(lambda: served.handler.exchanges)
    served.handler.exchanges[0].respond(200, b"still here")
    assert split_answers(client.to_the_end()) == [(200, b"still here")]
    served.run_until(lambda: not served.server.sessions)


def test_server_says_goodbye(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate).shake_hands()
    client.send(get(extra="Connection: close\r\n"))
    assert split_answers(client.to_the_end()) == [(200, b"GET / ")]
    client.plain.to_the_end()
    client.plain.close()
    served.run_until(lambda: not served.server.sessions)


def test_connection_lost_without_goodbye(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate).shake_hands()
    client.send(post(b"whole")[:-2])
    served.turn()
    client.plain.close()
    served.run_until(lambda: not served.server.sessions)
    assert not served.handler.exchanges


@pytest.mark.parametrize(
    "garbage", [get(), b"\x00" * 64, b"\x16\x03\x01\xff\xff" + b"a" * 70_000], ids=["HTTP", "zeros", "record"]
)
def test_what_is_no_tls_is_closed(served: Served, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vx.vxnet.tls")
    for _ in range(3):
        client = served.client()
        client.send(garbage)
        received = client.to_the_end()
        assert b"HTTP" not in received
    assert not served.handler.exchanges
    assert not served.server.sessions
    assert len([one for one in caplog.records if "broken TLS" in one.message]) == 1  # a line a second


def test_damaged_record_closes(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate).shake_hands()
    client.tls.write(get())
    data = bytearray(client._outgoing.read())
    data[-1] ^= 1
    client.plain.send(bytes(data))
    client.plain.to_the_end()
    assert not served.handler.exchanges


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_old_version_is_refused(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate, version=ssl.TLSVersion.TLSv1_1)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.shake_hands()
    served.run_until(lambda: not served.server.sessions)


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "begun"])
def test_slow_handshake_is_ended(pair: Pair, begun: bytes) -> None:
    limits = HttpLimits(head_timeout_s=0.2, keep_alive_s=0)
    with serving(limits, tls=TlsCertificate(pair.certificate, pair.key)) as served:
        client = served.client()
        client.send(begun)
        client.to_the_end()
        assert not served.server.sessions


def test_established_connection_may_wait(pair: Pair) -> None:
    limits = HttpLimits(head_timeout_s=0.1, keep_alive_s=0)
    with serving(limits, tls=TlsCertificate(pair.certificate, pair.key)) as served:
        client = TlsClient(served, pair.certificate).shake_hands()
        served.run_for(0.4)
        client.send(get())
        client.pull_until(1)


def test_handshake_larger_than_the_socket_buffers(tmp_path: Path, pair: Pair) -> None:
    chain = tmp_path / "chain.crt"
    chain.write_bytes(pair.certificate.read_bytes() * 60)
    with serving(HttpLimits(write_mem=1), tls=TlsCertificate(chain, pair.key)) as served:
        client = TlsClient(served, pair.certificate, receive_buffer=1)
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.push()
        served.turn()
        assert len(client.plain.sock.recv(1 << 16, socket.MSG_PEEK)) < 20_000  # it did not go out at once
        client.pull_something()
        client.shake_hands()
        client.send(get())
        client.pull_until(1)


def test_new_certificate_is_for_new_connections(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    in_use = make_certificate(tmp_path, "in_use")
    first, second = in_use.certificate.read_bytes(), make_certificate(tmp_path, "second")
    certificate = TlsCertificate(in_use.certificate, in_use.key)
    old_ca = tmp_path / "old.crt"
    old_ca.write_bytes(first)
    with serving(tls=certificate) as served:
        old = TlsClient(served, old_ca).shake_hands()
        in_use.certificate.write_bytes(second.certificate.read_bytes())  # its key does not fit yet
        certificate.reload()
        assert "stays" in caplog.text and caplog.records[-1].levelno == logging.CRITICAL
        TlsClient(served, old_ca).shake_hands()
        in_use.key.write_bytes(second.key.read_bytes())
        certificate.reload()
        TlsClient(served, second.certificate).shake_hands()
        with pytest.raises(ssl.SSLCertVerificationError):
            TlsClient(served, old_ca).shake_hands()
        old.send(get())
        assert split_answers(old.pull_until(1)) == [(200, b"GET / ")]


@pytest.mark.parametrize("damage", ["missing", "swapped", "empty", "password"])
def test_unusable_files_are_named(tmp_path: Path, damage: str) -> None:
    pair = make_certificate(tmp_path, "one", password="secret" if damage == "password" else "")
    certificate, key = pair.certificate, pair.key
    if damage == "missing":
        key.unlink()
    elif damage == "swapped":
        certificate, key = key, certificate
    elif damage == "empty":
        certificate.write_bytes(b"")
    with pytest.raises(TlsUnusable) as caught:
        TlsCertificate(certificate, key)
    assert str(key) in str(caught.value)


def test_closed_server_leaves_nothing(served: Served, pair: Pair) -> None:
    client = TlsClient(served, pair.certificate).shake_hands()
    served.server.stop()
    client.to_the_end()
