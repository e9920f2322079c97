"""TERM: nobody new, what has begun is answered (within bounds), exit code 0; also for one role alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.gateways.accesshttp.running import (
    NOWHERE,
    Gateway,
    post,
    title,
    toml_gateway,
)
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess, wait_until
from vxutils.exits import ExitCode


def test_a_stop_answers_what_has_begun(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine:
        config = toml_gateway(engine.address(), top="timeout_s = 5.0")
        with Gateway(tmp_path, config) as gateway, gateway.connect() as busy, gateway.connect() as idle:
            assert idle.call("asset.list", []).status == 200
            os.kill(engine.pid, signal.SIGSTOP)
            busy.send(post("asset.list", [], 9))
            wait_until(lambda: in_flight(gateway) == 1, "the request to be with the engine")
            os.kill(gateway.pid, signal.SIGTERM)
            assert idle.is_closed_by_server()
            with pytest.raises(OSError):
                gateway.connect()
            os.kill(engine.pid, signal.SIGCONT)
            answer = busy.receive()
            assert answer.status == 200 and answer.json["id"] == 9
            assert answer.header("connection") == "close"
            assert gateway.wait() == ExitCode.OK


def in_flight(gateway: Gateway) -> float:
    return gateway.metrics()['accesshttp_in_flight{backend="matchengine",worker="0"}']


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine:
        config = toml_gateway(engine.address(), top="timeout_s = 0.3")
        with Gateway(tmp_path, config) as gateway, gateway.connect() as busy:
            assert busy.call("asset.list", []).status == 200
            os.kill(engine.pid, signal.SIGSTOP)
            busy.send(post("asset.list", [], 9))
            begun = time.monotonic()
            assert gateway.terminate() == ExitCode.OK
            assert time.monotonic() - begun < 10


def test_roles_run_alone_and_find_each_other(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    listener, worker = (
        Gateway(tmp_path, toml_gateway(NOWHERE)),
        Gateway(tmp_path / "w", toml_gateway(NOWHERE)),
    )
    worker.data_dir = listener.data_dir
    try:
        worker.launch("worker", "--index", "0")
        wait_until(lambda: worker.stdout == "accesshttp worker 0 ready\n", "the worker")
        assert title(worker.pid) == "accesshttp_worker_0"
        listener.launch("listener")
        wait_until(listener._is_ready, "the listener with its worker")
        with listener.connect() as client:
            assert client.call("no.such", []).status == 404
            assert listener.terminate() == ExitCode.OK
            assert client.call("no.such", []).status == 404
            assert worker.terminate() == ExitCode.OK
            assert client.is_closed_by_server()
    finally:
        worker.end()
        listener.end()
