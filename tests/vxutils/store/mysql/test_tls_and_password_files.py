"""A database is spoken to over TLS if the settings say so, and then only so; passwords may be in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.servers.fixtures import need
from tests.servers.mariadb import MariaDb, MariaDbAddress
from tests.support.certificates import Pair, make_certificate
from tests.vxutils.store.mysql.databases import settings_of
from vxutils.store.access import TlsSettings
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError, MysqlRefused
from vxutils.store.mysql.settings import MysqlSettings, mysql_problems

USER = "CREATE USER careful@'%' IDENTIFIED BY '{}' REQUIRE SSL"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MariaDb, Pair]]:
    need("MariaDB")
    directory = tmp_path_factory.mktemp("tls")
    pair = make_certificate(directory, "mariadb")
    with MariaDb(directory, f"--ssl-cert={pair.certificate}", f"--ssl-key={pair.key}") as server:
        yield server, pair


def ask(settings: MysqlSettings, statement: str = "SHOW STATUS LIKE 'Ssl_cipher'") -> str:
    database = Database(settings)
    try:
        return str(database.rows(statement)[0][1])
    finally:
        database.close()


def with_tls(settings: MysqlSettings, **changed: Any) -> MysqlSettings:
    return msgspec.structs.replace(settings, tls=TlsSettings(**changed))


def test_only_the_server_with_the_right_certificate_is_spoken_to(
    secure: tuple[MariaDb, Pair], tmp_path: Path
) -> None:
    server, pair = secure
    settings = settings_of(server, "mysql")
    assert ask(with_tls(settings, ca=str(pair.certificate)))
    stranger = make_certificate(tmp_path, "stranger")
    with pytest.raises(MysqlError, match="certificate verify failed"):
        ask(with_tls(settings, ca=str(stranger.certificate)))
    with pytest.raises(MysqlError, match="certificate verify failed"):
        ask(with_tls(settings))  # no authority of this machine has signed it
    with pytest.raises(MysqlRefused, match=r"TLS with .*nowhere\.pem is not possible"):
        ask(with_tls(settings, ca=str(tmp_path / "nowhere.pem")))


def test_a_server_without_tls_gets_nothing(mariadb: MariaDbAddress) -> None:
    with pytest.raises(MysqlError, match="the server doesn't support it"):
        ask(with_tls(settings_of(mariadb, "mysql")))


def test_a_password_in_a_file_may_be_changed(secure: tuple[MariaDb, Pair], tmp_path: Path) -> None:
    server, pair = secure
    file = tmp_path / "password"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(USER.format("first"))
        cursor.execute("GRANT ALL ON *.* TO careful@'%'")
        settings = msgspec.structs.replace(
            with_tls(settings_of(server, "mysql"), ca=str(pair.certificate)),
            user="careful",
            password_file=str(file),
        )
        with pytest.raises(MysqlRefused, match=r"password file .* can not be read"):
            ask(settings)
        for password in ("first", "second"):
            file.write_text(password + "\n")
            cursor.execute(f"ALTER USER careful@'%' IDENTIFIED BY '{password}'")
            assert ask(settings)
    assert "second" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"password": "p", "password_file": "f"}, "db.password_file: db.password is given too"),
        ({"tls": TlsSettings(certificate="c")}, "db.tls.key: missing"),
        ({"tls": TlsSettings(), "host": "/run/mysqld.sock"}, "db.tls: the server is on this machine"),
    ],
)
def test_settings_are_checked(given: dict[str, Any], problem: str) -> None:
    settings = MysqlSettings(**{"host": "h", "user": "u", "name": "n"} | given)
    problems = mysql_problems("db", settings)
    assert len(problems) == 1 and problems[0].startswith(problem)
