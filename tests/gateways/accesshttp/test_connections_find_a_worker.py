"""Connections are spread over the workers, within their bounds; without a worker there is an answer too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateways.accesshttp.running import (
    NOWHERE,
    Closed,
    Gateway,
    toml_gateway,
)
from tests.support.processes import wait_until
from vxutils.exits import ExitCode


def test_without_a_worker_a_connection_gets_503(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, toml_gateway(NOWHERE))
    try:
        gateway.launch("listener")
        wait_until(lambda: gateway.listener_starts == 1, "the listener")
        with pytest.raises(AssertionError, match="gateway to be ready"):
            wait_until(gateway._is_ready, "gateway to be ready", 0.2)
        assert gateway.health()["status"] == "down"
        with gateway.connect() as client:
            answer = client.receive()
            assert answer.status == 503
            assert answer.json["error"]["data"]["reason"] == "no_worker_free"
        assert gateway.metrics()['accesshttp_turned_away_total{reason="no_worker"}'] == 1
        assert gateway.terminate() == ExitCode.OK
    finally:
        gateway.end()


def test_connections_are_spread_over_the_workers(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE, worker_num=2)) as gateway:
        clients = [gateway.connect() for _ in range(10)]
        try:
            for client in clients:
                assert client.call("no.such", []).status == 404
            name = 'accesshttp_connections{worker="%d"}'
            wait_until(
                lambda: [gateway.metrics()[name % index] for index in (0, 1)] == [5, 5], "five each", 5.0
            )
        finally:
            for client in clients:
                client.close()


def test_connections_beyond_the_bound_are_refused(tmp_path: Path) -> None:
    config = toml_gateway(NOWHERE, sections="[http]\nconnections_max = 2")
    with Gateway(tmp_path, config) as gateway, gateway.connect() as one, gateway.connect() as two:
        assert [client.call("no.such", []).status for client in (one, two)] == [404, 404]
        with gateway.connect() as three:
            try:
                assert three.receive().status == 503
            except Closed:
                pass
        one.close()

        def is_served() -> bool:
            with gateway.connect() as again:
                try:
                    return again.call("no.such", []).status == 404
                except Closed:
                    return False

        wait_until(is_served, "room for another one")
