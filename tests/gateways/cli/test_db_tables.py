"""`vx db` makes, checks and widens the tables that a settings file names, and says what is wrong in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateways.cli.main import main
from tests.servers.mariadb import MariaDbAddress
from vxutils.exits import ExitCode


def c_file(directory: Path, server: MariaDbAddress, name: str) -> Path:
    section = {"host": server.host, "port": server.port, "user": server.user, "pass": server.password}
    path = directory / "config.json"
    path.write_text(json.dumps({"db_log": {**section, "name": name}}))
    return path


def test_init_check_migrate(
    mariadb: MariaDbAddress, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = mariadb.new_database("cli")
    path = str(c_file(tmp_path, mariadb, name))
    assert main(["db", "check", path]) == ExitCode.FAILURE
    assert f"vx: {name}.slice_history: no such table" in capfd.readouterr().err
    assert main(["db", "init", path]) == ExitCode.OK
    assert f"{name}: 4 tables made, 0 were there" in capfd.readouterr().out
    assert main(["db", "check", path]) == ExitCode.OK
    assert "the tables are as they should be" in capfd.readouterr().out
    assert main(["db", "migrate", path]) == ExitCode.OK
    assert "2 tables widened" in capfd.readouterr().out
    assert main(["db", "check", path]) == ExitCode.OK


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("wire_style = 'plain'", ExitCode.CONFIG, "neither mysql.log nor mysql.history"),
        ("{}", ExitCode.CONFIG, "neither db_log nor db_history"),
        ("[mysql.log]\nhost = 'x'\nuser = 'y'\nname = 'a`b'", ExitCode.CONFIG, "mysql.log: "),
        ("[mysql.log]\nhost = '/nowhere/sock'\nuser = 'y'\nname = 'log'", ExitCode.FAILURE, "/nowhere/sock"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, code: ExitCode, said: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    assert main(["db", "init", str(path)]) == code
    assert said in capfd.readouterr().err
