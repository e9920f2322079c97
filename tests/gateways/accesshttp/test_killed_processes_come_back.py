"""A killed listener, worker or watchdog is back soon; nothing is left of a killed parent."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.gateways.accesshttp.running import (
    NOWHERE,
    Closed,
    Gateway,
    children,
    toml_gateway,
    wait_for_end_of,
)
from tests.support.processes import wait_until


def unix_listener(tmp_path: Path) -> str:
    """An address that stays the same when the listener starts again."""
    return f'bind = ["stream@{tmp_path}/http.sock"]'


def ask_until_served(gateway: Gateway) -> None:
    """Nobody is refused; a connection that was given to a worker as that ended is closed."""
    for _ in range(100):
        with gateway.connect() as client:
            try:
                answer = client.call("no.such", [])
            except Closed:
                continue
            assert answer.status == 404, answer
            return
    raise AssertionError("never served")


def test_a_killed_worker_comes_back_and_waiting_connections_are_served(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE)) as gateway:
        with gateway.connect() as client:
            assert client.call("no.such", []).status == 404
            pid = gateway.pid_of("worker_0")
            os.kill(pid, signal.SIGKILL)
            assert client.is_closed_by_server()
        ask_until_served(gateway)  # at once: there is no worker yet
        assert gateway.pid_of("worker_0") not in (0, pid)
        wait_until(
            lambda: gateway.metrics()['accesshttp_worker_restarts_total{worker="0"}'] == 1, "the count"
        )


def test_a_killed_listener_comes_back_and_costs_no_connection(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE, listener=unix_listener(tmp_path))) as gateway:
        with gateway.connect() as client:
            assert client.call("no.such", []).status == 404
            os.kill(gateway.pid_of("listener"), signal.SIGKILL)
            assert client.call("no.such", []).status == 404, "the worker serves on"
            wait_until(lambda: gateway.listener_starts == 2, "the next listener")
            gateway.follow()
            assert client.call("no.such", []).status == 404
        with gateway.connect() as client:
            assert client.call("no.such", []).status == 404


def test_a_killed_watchdog_takes_its_process_along_and_both_come_back(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE)) as gateway:
        watchdog, worker = gateway.watchdog_of("worker_0"), gateway.pid_of("worker_0")
        os.kill(watchdog, signal.SIGKILL)
        wait_for_end_of(worker)
        wait_until(lambda: gateway.pid_of("worker_0") not in (0, worker), "the next worker")
        wait_until(gateway.workers_are_here, "the next worker at the listener")


def test_nothing_is_left_of_a_killed_parent(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE)) as gateway:
        watchdogs = children(gateway.pid)
        everybody = [*watchdogs, *(child for watchdog in watchdogs for child in children(watchdog))]
        assert len(everybody) == 4
        os.kill(gateway.pid, signal.SIGKILL)
        for pid in everybody:
            wait_for_end_of(pid)


def test_a_worker_told_to_stop_is_replaced_and_nobody_is_refused(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE)) as gateway:
        pid = gateway.pid_of("worker_0")
        with gateway.connect() as client:
            assert client.call("no.such", []).status == 404
            os.kill(pid, signal.SIGTERM)
            assert client.is_closed_by_server()
        while gateway.pid_of("worker_0") in (0, pid):
            ask_until_served(gateway)
        wait_until(gateway.workers_are_here, "the next worker at the listener")
