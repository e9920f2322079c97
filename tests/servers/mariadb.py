"""A private MariaDB server, durable as in production, with databases made per test.

with MariaDb(directory) as server:
    name = server.new_database()
    with server.connect(name) as connection: ...
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import pymysql

from tests.servers.process import ServerProcess, free_ports

READY_TIMEOUT_S = 60.0
INSTALL_TIMEOUT_S = 120.0
USER = "root"
PASSWORD = ""


def program() -> str | None:
    """Where the server is, None if it is not installed."""
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")


class MariaDbAddress:
    """A server that runs, with databases made per test and dropped by `drop_databases`."""

    def __init__(self, host: str, port: int, user: str = USER, password: str = PASSWORD) -> None:
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self._databases: list[str] = []

    def new_database(self, prefix: str = "test") -> str:
        """Makes an empty database; its name."""
        name = f"vx_{prefix}_{os.getpid()}_{len(self._databases)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8")
        self._databases.append(name)
        return name

    def connect(self, database: str | None = None, **more: Any) -> pymysql.connections.Connection[Any]:
        """A connection of the test's own, with autocommit."""
        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": database,
            "autocommit": True,
            "connect_timeout": 5,
            **more,
        }
        return pymysql.connect(**settings)

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def drop_databases(self) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            for name in self._databases:
                cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")


def address(text: str) -> MariaDbAddress:
    """`user:password@host:port`."""
    account, _, place = text.rpartition("@")
    user, _, password = account.partition(":")
    host, _, port = place.rpartition(":")
    return MariaDbAddress(host, int(port), user or USER, password)


class MariaDb(MariaDbAddress):
    """One server on a free port of 127.0.0.1; user `root` without a password.

    `options` are added to its command line, for example `--max-connections=20`.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        found = program()
        assert found is not None, "MariaDB is installed"
        data = directory / "mariadb"
        super().__init__("127.0.0.1", free_ports(1)[0])
        if not data.exists():
            installer = shutil.which("mariadb-install-db")
            assert installer is not None, "MariaDB's installer is there with the server"
            subprocess.run(
                [
                    installer,
                    "--no-defaults",
                    f"--datadir={data}",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--user=root",
                ],
                check=True,
                capture_output=True,
                timeout=INSTALL_TIMEOUT_S,
            )
        self._process = ServerProcess(
            "mariadbd",
            directory,
            [
                found,
                "--no-defaults",
                f"--datadir={data}",
                "--user=root",
                "--bind-address=127.0.0.1",
                f"--port={self.port}",
                f"--socket={directory / 'mariadb.sock'}",
                f"--pid-file={directory / 'mariadb.pid'}",
                "--innodb-buffer-pool-size=128M",
                "--innodb-flush-log-at-trx-commit=1",
                *options,
            ],
            self._is_ready,
            ready_timeout_s=READY_TIMEOUT_S,
        )

    def __enter__(self) -> MariaDb:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def suspend(self) -> None:
        self._process.suspend()

    def go_on(self) -> None:
        self._process.go_on()

    def _is_ready(self) -> bool:
        try:
            self.connect().close()
        except pymysql.err.MySQLError:
            return False
        return True
