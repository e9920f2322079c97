"""Only a directory with nothing in it becomes a new exchange, and only one `vx up` uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateways.cli.home import Home, log_path
from vxutils.exits import ExitCode, ProcessExit


def refusal(directory: Path, may_be_made: bool) -> ProcessExit:
    with pytest.raises(ProcessExit) as refused:
        Home(directory, may_be_made)
    return refused.value


def test_a_new_home_is_a_data_directory_with_demo_users_due(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with Home(directory, may_be_made=True) as home:
        assert home.is_new and home.demo_users_are_due
        assert (directory / "SYSTEM").exists() and (directory / "log").is_dir()
    system = (directory / "SYSTEM").read_bytes()
    with Home(directory, may_be_made=True) as home:
        assert not home.is_new and home.demo_users_are_due
        home.demo_users_are_done()
    with Home(directory, may_be_made=False) as home:
        assert not home.is_new and not home.demo_users_are_due
    assert (directory / "SYSTEM").read_bytes() == system


@pytest.mark.parametrize("remains", [[], ["up"], ["up", "IDENTITY", "SYSTEM.tmp"]])
def test_an_interrupted_first_start_is_finished(tmp_path: Path, remains: Sequence[str]) -> None:
    for name in remains:
        if name == "up":
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).touch()
    with Home(tmp_path, may_be_made=True) as home:
        assert home.is_new and home.demo_users_are_due


@pytest.mark.parametrize("remains", ["journal", "slices", "somebody's file", "LOCK"])
def test_a_directory_with_other_things_is_not_taken(tmp_path: Path, remains: str) -> None:
    (tmp_path / remains).touch()
    refused = refusal(tmp_path, may_be_made=True)
    assert refused.code is ExitCode.JOURNAL_DAMAGED
    assert f"{tmp_path} is not empty and has no SYSTEM file" in refused.sentence
    assert [path.name for path in tmp_path.iterdir()] == [remains]


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_named_directory_is_never_made(tmp_path: Path, name: str) -> None:
    refused = refusal(tmp_path / name, may_be_made=False)
    assert refused.code is ExitCode.JOURNAL_DAMAGED
    assert "vx init --data-dir" in refused.sentence
    assert not list(tmp_path.iterdir())


def test_a_second_one_is_refused(tmp_path: Path) -> None:
    with Home(tmp_path / "data", may_be_made=True):
        refused = refusal(tmp_path / "data", may_be_made=True)
        assert refused.code is ExitCode.ALREADY_RUNNING
        assert "another `vx up` runs in" in refused.sentence
    Home(tmp_path / "data", may_be_made=True).close()


def test_a_colon_in_the_log_path_is_refused(tmp_path: Path) -> None:
    assert log_path(tmp_path, "matchengine") == tmp_path / "log" / "matchengine"
    with pytest.raises(ProcessExit, match="colon"):
        log_path(tmp_path / "a:b", "matchengine")
