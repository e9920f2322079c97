"""What can not be started ends with a sentence and the code for it, never with a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.gateways.accesshttp.running import (
    NOWHERE,
    Gateway,
    toml_gateway,
)
from vxutils.exits import ExitCode


def refused(directory: Path, config: str, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a start that must fail."""
    gateway = Gateway(directory, config)
    gateway.launch(*words)
    try:
        return gateway.wait(), gateway.stderr
    finally:
        gateway.end()


def test_a_second_one_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    with Gateway(tmp_path, toml_gateway(NOWHERE)) as gateway:
        (tmp_path / "second").mkdir()
        second = Gateway(tmp_path / "second", toml_gateway(NOWHERE))
        second.data_dir = gateway.data_dir
        second.launch()
        assert second.wait() == ExitCode.ALREADY_RUNNING
        assert "is in use by process" in second.stderr


def test_a_taken_address_ends_the_group_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"tcp@127.0.0.1:{taken.getsockname()[1]}"
        config = toml_gateway(NOWHERE, listener=f'bind = ["{address}"]')
        log = f'[log]\npath = "{tmp_path}/log"'
        code, said = refused(tmp_path, config.replace("[[listener]]", f"{log}\n[[listener]]"))
    assert code == ExitCode.ADDRESS_TAKEN
    assert f"accesshttp: {address}: address already in use" in said


def test_bad_settings_are_refused_in_words(tmp_path: Path) -> None:
    code, said = refused(tmp_path, "worker_num = 0\n[[listener]]\nbind = ['tcp@0.0.0.0:1']\n")
    assert code == ExitCode.CONFIG
    assert "gateway.toml can not be used:\n  worker_num: 0 is outside 1..64" in said
    assert "Traceback" not in said


def test_a_token_file_that_is_not_there_is_refused_at_start(tmp_path: Path) -> None:
    listener = 'bind = ["tcp@127.0.0.1:0"]\n[[listener.token]]\nname = "office"\nfile = "/no/such/file"'
    code, said = refused(tmp_path, toml_gateway(NOWHERE, listener=listener), "worker")
    assert code == ExitCode.CONFIG
    assert "token office: /no/such/file cannot be read" in said


def test_too_long_a_data_directory_is_told(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, toml_gateway(NOWHERE))
    gateway.data_dir = tmp_path / ("d" * 100)
    gateway.launch("listener")
    assert gateway.wait() == ExitCode.USAGE
    assert "use a data directory with a shorter path" in gateway.stderr


@pytest.mark.parametrize("words", [("walk",), ("worker", "--index", "64"), ("listener", "--index", "0")])
def test_wrong_words_are_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = refused(tmp_path, toml_gateway(NOWHERE), *words)
    assert code == ExitCode.USAGE and "usage:" in said
