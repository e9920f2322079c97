"""The websocket server under TLS, with a client of somebody else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.certificates import Pair, make_certificate
from vxnet.address import parse_address
from vxnet.loop import new_event_loop
from vxnet.tls import TlsCertificate
from vxutils.ws import WsConnection, WsLimits, WsServer, WsService, text_frame


class Echo(WsService):
    def opened(self, connection: WsConnection) -> None:
        pass

    def received(self, connection: WsConnection, message: str | bytes) -> None:
        connection.send(text_frame(message))

    def closed(self, connection: WsConnection, code: int, reason: str) -> None:
        pass

    def drained(self, connection: WsConnection) -> None:
        pass


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_certificate(tmp_path, "ws")


@pytest.fixture
def port(pair: Pair) -> Iterator[int]:
    loop = new_event_loop()
    certificate = TlsCertificate(pair.certificate, pair.key)
    limits = WsLimits(message_bytes_max=4 << 20, output_bytes_max=16 << 20)
    server = WsServer(loop, [parse_address("tcp@127.0.0.1:0")], Echo(), limits, tls=certificate)
    server.start()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.bound[0].port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.stop()
    loop.close()


@pytest.mark.parametrize("compression", ["deflate", None])
def test_small_and_large_messages_and_a_goodbye(port: int, pair: Pair, compression: str | None) -> None:
    context = ssl.create_default_context(cafile=pair.certificate)
    url = f"wss://localhost:{port}"
    with connect(url, ssl=context, compression=compression, max_size=8 << 20) as client:
        for message in ["", "small", "ä" * 500_000, "last"]:
            client.send(message)
            assert client.recv(10) == message
    assert client.close_code == 1000


def test_plain_websocket_is_closed(port: int) -> None:
    with pytest.raises(Exception, match="did not receive a valid HTTP response"):
        connect(f"ws://localhost:{port}")
