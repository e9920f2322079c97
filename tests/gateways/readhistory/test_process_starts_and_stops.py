"""The real process: signals, kills, several on one directory, refused starts."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.gateways.readhistory.running import Service
from tests.gateways.readhistory.samples import TOML


def service(directory: Path, *arguments: str) -> Service:
    return Service("readhistory", directory, TOML, arguments)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_signals_stop_it(tmp_path: Path, number: signal.Signals) -> None:
    with service(tmp_path) as readhistory:
        assert Path(f"/proc/{readhistory.pid}/cmdline").read_bytes().startswith(b"readhistory")
        assert readhistory.terminate(number) == 0


def test_a_killed_worker_is_back(tmp_path: Path) -> None:
    with service(tmp_path, "--watchdog") as readhistory:
        os.kill(readhistory.worker_pid, signal.SIGKILL)
        readhistory.wait_ready()
        with readhistory.client() as client:
            assert client.call(210, [0])["error"]["code"] == 1
        assert readhistory.terminate() == 0


def test_several_share_a_directory(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = service(tmp_path / "other")
    with service(tmp_path) as first:
        other.data = first.data
        with other as second:
            assert first.address() != second.address()


def test_a_directory_that_is_not_there_and_a_taken_address(tmp_path: Path) -> None:
    readhistory = service(tmp_path)
    readhistory.data.rmdir()
    readhistory.launch()
    assert readhistory.wait() == 65
    assert "does not exist" in readhistory.log
    readhistory.data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"tcp@127.0.0.1:{taken.getsockname()[1]}"
        readhistory.config_path.write_text(TOML.replace("tcp@127.0.0.1:0", bind, 1))
        readhistory.launch()
        assert readhistory.wait() == 69
        assert bind in readhistory.log


def test_a_wrong_file_and_wrong_words(tmp_path: Path) -> None:
    for toml, arguments, code, sentence in (
        ("worker_nun = 3", [], 78, "did you mean worker_num"),
        ("", ["--no-such-option"], 64, "no-such-option"),
    ):
        readhistory = Service("readhistory", tmp_path, toml, arguments)
        readhistory.launch()
        assert readhistory.wait() == code
        assert sentence in readhistory.log
