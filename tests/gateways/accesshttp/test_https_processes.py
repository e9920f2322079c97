"""accesshttp over TLS, all its processes: clients, a new certificate by SIGHUP, and who is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.cli.main import main
from tests.gateways.accesshttp.running import NOWHERE, Gateway, toml_gateway
from tests.support.certificates import make_certificate
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.client import AsyncClient, Client, NoAnswer
from vxutils.exits import ExitCode

LISTENER = """bind = ["tcp@127.0.0.1:0"]
tls_certificate = "{directory}/used.crt"
tls_key = "{directory}/used.key"
trusted_proxies = ["127.0.0.0/8"]
[[listener]]
bind = ["tcp@127.0.0.1:0"]
tls_certificate = "{directory}/used.crt"
tls_key = "{directory}/used.key"
allow_cidrs = ["10.0.0.0/8"]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("https")
    put_in_use(directory, "first")
    with EngineProcess(directory, toml_config()) as engine:
        config = toml_gateway(engine.address(), listener=LISTENER.format(directory=directory), worker_num=2)
        with Gateway(directory, config) as gateway:
            yield gateway


def put_in_use(directory: Path, name: str) -> Path:
    """A new certificate where the settings say; its authority."""
    pair = make_certificate(directory, name)
    (directory / "used.crt").write_bytes(pair.certificate.read_bytes())
    (directory / "used.key").write_bytes(pair.key.read_bytes())
    return pair.certificate


def url(gateway: Gateway, index: int = 0) -> str:
    return f"https://localhost:{gateway.addresses[index].port}"


def call(gateway: Gateway, ca: Path) -> object:
    with Client(url(gateway), ca=ca, timeout_s=10.0) as client:
        return client.call("asset.list")


def test_both_clients(gateway: Gateway) -> None:
    ca = gateway.directory / "first.crt"
    with Client(url(gateway), ca=ca, timeout_s=10.0) as client:
        answers = [client.call("asset.list") for _ in range(5)]
        port = client._connection._socket.getsockname()  # type: ignore[union-attr]
        client.call("asset.list")
        assert client._connection._socket.getsockname() == port  # type: ignore[union-attr]  # kept

    async def ask() -> list[object]:
        async with AsyncClient(url(gateway), ca=ca, timeout_s=10.0) as client:
            return list(await asyncio.gather(*(client.call("asset.list") for _ in range(10))))

    assert answers * 2 == asyncio.run(ask())


def test_the_command_line(gateway: Gateway, capfd: pytest.CaptureFixture[str]) -> None:
    ca = str(gateway.directory / "first.crt")
    assert main(["call", "asset.list", "--http", url(gateway), "--ca", ca]) == 0
    assert json.loads(capfd.readouterr().out)
    assert main(["call", "asset.list", "--http", url(gateway)]) == 1
    assert "its certificate is not trusted: self-signed certificate" in capfd.readouterr().err


def test_plain_http_is_closed(gateway: Gateway) -> None:
    with Client(f"http://localhost:{gateway.addresses[0].port}") as client, pytest.raises(NoAnswer):
        client.call("asset.list")


def test_who_is_refused_gets_no_plain_text(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.addresses[1].port), 5) as sock:
        assert sock.recv(1000) == b""


def test_client_behind_a_proxy_is_named_in_the_log(gateway: Gateway) -> None:
    context = ssl.create_default_context(cafile=gateway.directory / "first.crt")
    address = ("127.0.0.1", gateway.addresses[0].port)
    time.sleep(1.0)  # one line a second: those of other tests are over
    with socket.create_connection(address, 5) as plain:
        sock = context.wrap_socket(plain, server_hostname="localhost")
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 405 ")
    wait_until(lambda: "peer: 203.0.113.7 by 127.0.0.1:" in gateway.stderr, "the line in the log", 5)
    assert "6.6.6.6" not in gateway.stderr


def test_new_certificate_by_hangup(gateway: Gateway) -> None:
    """Last of these tests. HUP to the whole gateway reaches each worker; nobody ends."""
    pids = [gateway.pid_of("worker_0"), gateway.pid_of("worker_1"), gateway.pid_of("listener")]
    old_ca = gateway.directory / "first.crt"
    with Client(url(gateway), ca=old_ca, timeout_s=10.0) as kept:
        kept.call("asset.list")
        (gateway.directory / "used.crt").write_text("no certificate")
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until(lambda: gateway.stderr.count("the certificate in use stays") == 2, "two fatal lines", 10)
        assert call(gateway, old_ca)
        new_ca = put_in_use(gateway.directory, "second")
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until(lambda: gateway.stderr.count("used.crt read again") == 2, "two workers", 10)
        for _ in range(4):
            assert call(gateway, new_ca)
            with pytest.raises(NoAnswer, match="not trusted"):
                call(gateway, old_ca)
        kept.call("asset.list")
    assert pids == [gateway.pid_of("worker_0"), gateway.pid_of("worker_1"), gateway.pid_of("listener")]
    assert gateway.terminate() == 0


@pytest.mark.parametrize("role", ["run", "worker"])
def test_unusable_certificate_refuses_the_start(tmp_path: Path, role: str) -> None:
    listener = LISTENER.format(directory=tmp_path)
    (tmp_path / "used.crt").write_text("no certificate")
    gateway = Gateway(tmp_path, toml_gateway(NOWHERE, listener=listener))
    gateway.launch(role)
    try:
        assert gateway.wait() == ExitCode.CONFIG
    finally:
        gateway.end()
    assert f"listener[0]: {tmp_path}/used.key can not be read" in gateway.stderr
