"""A killed worker or listener is back soon; a backend that hangs or dies is told; a stop says goodbye."""

from __future__ import annotations

import os
import signal
import ssl
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from tests.gateways.accesshttp.running import Closed
from tests.gateways.accessws.running import WsClient, WsGateway, c_websocket, toml_websocket
from tests.support.certificates import make_certificate
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until


def unix_listener(tmp_path: Path) -> str:
    """An address that stays the same when the listener starts again."""
    return f'bind = ["stream@{tmp_path}/ws.sock"]'


def is_served(gateway: WsGateway) -> bool:
    try:
        with gateway.client() as client:
            return client.code("server.ping") == 0
    except (ConnectionClosed, Closed, OSError, EOFError):
        return False


def test_a_killed_worker_costs_its_own_connections_only(tmp_path: Path) -> None:
    with WsGateway(tmp_path, toml_websocket(worker_num=2)) as gateway:
        clients = [gateway.client() for _ in range(4)]
        assert [client.code("server.ping") for client in clients] == [0] * 4
        os.kill(gateway.pid_of("worker_0"), signal.SIGKILL)
        codes = [alive_or_code(client) for client in clients]
        assert codes.count(0) == 2 and codes.count(1006) == 2
        wait_until(gateway.workers_are_here, "both workers")
        assert is_served(gateway)
        for client in clients:
            client.__exit__(None, None, None)


def alive_or_code(client: WsClient) -> int:
    try:
        return client.code("server.ping")
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


def test_a_killed_listener_costs_no_connection(tmp_path: Path) -> None:
    with WsGateway(tmp_path, toml_websocket(listener=unix_listener(tmp_path))) as gateway:
        with gateway.client() as client:
            os.kill(gateway.pid_of("listener"), signal.SIGKILL)
            wait_until(lambda: gateway.listener_starts == 2, "the next listener")
            assert client.code("server.ping") == 0
        wait_until(lambda: is_served(gateway), "the listener to give connections away")


def test_a_hanging_and_a_dead_engine(tmp_path: Path) -> None:
    query = ("depth.query", "BTCBCH", 5, "0")
    with (
        EngineProcess(tmp_path, toml_config()) as engine,
        WsGateway(
            tmp_path, toml_websocket(engine.address(), top="timeout_s = 0.3\ncache_timeout_s = 0")
        ) as gateway,
        gateway.client() as client,
    ):
        wait_until(lambda: client.code(*query) == 0, "the engine")
        os.kill(engine.pid, signal.SIGSTOP)
        error = client.call(*query)["error"]
        assert (error["code"], error["data"]["outcome"]) == (5, "outcome_unknown")
        os.kill(engine.pid, signal.SIGCONT)
        wait_until(lambda: client.code(*query) == 0, "the engine to go on")
        assert client.code("depth.subscribe", "BTCBCH", 5, "0") == 0
        engine.kill()
        wait_until(lambda: client.code(*query) == 2, "the gateway to notice")
        assert client.code("server.ping") == 0


def test_a_stop_says_goodbye(tmp_path: Path) -> None:
    with WsGateway(tmp_path, toml_websocket()) as gateway:
        with gateway.client() as client:
            assert client.code("server.ping") == 0
            os.kill(gateway.pid, signal.SIGTERM)
            assert client.close_code() == 1001
        assert gateway.wait() == 0


def test_a_bad_request_in_the_style_of_the_c_system(tmp_path: Path) -> None:
    config = c_websocket("tcp@127.0.0.1:1")
    with WsGateway(tmp_path, config, arguments=["--embedded"]) as gateway, gateway.client() as client:
        client.send('{"id":5,"method":"server.ping"}')
        reply = client.receive()
        assert reply == '{"error": {"code": 1, "message": "invalid argument"}, "result": null, "id": 5}'
        assert client.close_code() == 1008
    assert "FATAL" not in gateway.stderr and "[fatal]" not in gateway.stderr


def test_encrypted(tmp_path: Path) -> None:
    pair = make_certificate(tmp_path, "first")
    listener = f'bind = ["tcp@127.0.0.1:0"]\ntls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"'
    with WsGateway(tmp_path, toml_websocket(listener=listener)) as gateway:
        context = ssl.create_default_context(cafile=str(pair.certificate))
        with gateway.client(ssl=context) as client:
            assert client.call("server.ping")["result"] == "pong"
            second = make_certificate(tmp_path, "second")
            second.certificate.replace(pair.certificate)
            second.key.replace(pair.key)
            os.kill(gateway.pid, signal.SIGHUP)
            other = ssl.create_default_context(cafile=str(pair.certificate))
            wait_until(lambda: is_trusted(gateway, other), "the new certificate")
            assert client.code("server.ping") == 0


def is_trusted(gateway: WsGateway, context: ssl.SSLContext) -> bool:
    try:
        with gateway.client(ssl=context) as client:
            return client.code("server.ping") == 0
    except ssl.SSLError:
        return False


def test_the_monitor_tells(tmp_path: Path) -> None:
    with WsGateway(tmp_path, toml_websocket(worker_num=2)) as gateway, gateway.client() as client:
        client.call("server.ping")
        health = gateway.health()
        assert health["status"] == "degraded" and health["facts"]["workers"] == 2
        series = 'accessws_requests_total{code="0",method="server.ping",worker="%d"}'
        wait_until(
            lambda: sum(gateway.metrics().get(series % worker, 0) for worker in (0, 1)) == 1,
            "the next report",
        )
