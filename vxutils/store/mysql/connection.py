"""One connection to one database: opened when it is needed and again after it broke; no wait has no end.

    statement -> connected? -> server -> rows, or one of the errors of `errors`
                   |  no: after the pause of the back-off

Decimals come as text with all their digits, never as floats. The session is always strict: a value that does
not fit is an error, whatever the server is configured to do with it. Belongs to one thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import conversions

from vxutils.store.access import AccessError, client_context, secret
from vxutils.store.mysql.errors import (
    MysqlAway,
    MysqlBadData,
    MysqlError,
    MysqlRefused,
    MysqlTooSlow,
    sort_error,
)
from vxutils.store.mysql.settings import MysqlSettings

CHARSET: Final = "utf8mb4"
LOCK_WAIT_S: Final = 20
"""How long a statement waits for another session's transaction; then it counts as away."""

RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 2.0

_STRICT: Final = (
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',"
    f" innodb_lock_wait_timeout = {LOCK_WAIT_S}"
)
_CONVERSIONS: Final = {
    kind: convert
    for kind, convert in conversions.items()
    if kind not in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL)
}

Row = tuple[Any, ...]


class Database:
    """Runs statements. `setup` is run on each new connection, after ours. Only with `takes_many` does the
    server take several statements in one packet.

    Every method raises a MysqlError. After one that is not MysqlBadData or MysqlTooSlow the connection is
    closed and what was not committed is gone.
    """

    def __init__(
        self,
        settings: MysqlSettings,
        setup: Sequence[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        takes_many: bool = False,
    ) -> None:
        self.settings = settings
        self._takes_many = takes_many
        self._setup = setup
        self._monotonic = monotonic
        self._connection: pymysql.connections.Connection[Any] | None = None
        self._is_inside = False  # a transaction
        self._failure = ""
        self._pause_s = 0.0
        self._open_at_s = 0.0

    def __str__(self) -> str:
        return str(self.settings)

    def close(self) -> None:
        """Ends the connection, if there is one; the next statement opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.err.MySQLError, OSError):
                connection.close()

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        """Runs a statement that gives no rows; how many it changed. `%s` stands for a value."""
        return self._ask(statement, values)[0]

    def run_many(self, statements: Sequence[str]) -> None:
        """Runs statements that give no rows, in one packet: the server does not wait for us between them.

        After an error those behind the wrong one have not been run.
        """
        assert self._takes_many, "the connection is made for it"
        if statements:
            self._ask(";".join(statements), ())

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Runs a query. One that meets a connection which died since is asked once more."""
        was_open = self._connection is not None
        try:
            return self._ask(statement, values)[1]
        except MysqlAway:
            if not was_open or self._is_inside:
                raise
            return self._ask(statement, values)[1]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in it is committed at its end, or nothing after any exception.

        An exception from the commit itself leaves open whether it happened.
        """
        self.run("START TRANSACTION")
        self._is_inside = True
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._connection is not None:
                with suppress(MysqlError):
                    self.run("ROLLBACK")
            raise
        finally:
            self._is_inside = False

    def packet_bytes_max(self) -> int:
        """Bytes of the longest statement that the server takes."""
        return int(self.rows("SELECT @@max_allowed_packet")[0][0])

    def _ask(self, statement: str, values: Sequence[object]) -> tuple[int, list[Row]]:
        connection = self._open()
        try:
            with connection.cursor() as cursor:
                changed = cursor.execute(statement, values or None)
                found = list(cursor.fetchall())
                while cursor.nextset():
                    pass
                return changed, found
        except (pymysql.err.MySQLError, OSError) as error:
            sorted_error = sort_error(error, str(self))
            if not isinstance(sorted_error, MysqlBadData | MysqlTooSlow):
                self.close()
            raise sorted_error from error
        except BaseException:
            self.close()  # an answer may be on its way that nobody reads
            raise

    def _open(self) -> pymysql.connections.Connection[Any]:
        if self._connection is not None:
            return self._connection
        if self._is_inside:
            raise MysqlAway(f"{self}: the connection was lost in a transaction")
        now_s = self._monotonic()
        if now_s < self._open_at_s:
            raise MysqlAway(self._failure)
        try:
            connection = self._connection = self._connect()
        except MysqlError as error:
            self._failure = str(error)
            self._pause_s = min(max(self._pause_s * 2, RETRY_FIRST_S), RETRY_MAX_S)
            self._open_at_s = self._monotonic() + self._pause_s
            raise
        self._pause_s = 0.0
        return connection

    def _connect(self) -> pymysql.connections.Connection[Any]:
        settings = self.settings
        # The driver's deadlines are whole seconds.
        timeout_s = math.ceil(settings.timeout_s)
        place: dict[str, Any] = {"host": settings.host, "port": settings.port}
        if settings.host.startswith("/"):
            place = {"unix_socket": settings.host}
        try:
            if settings.tls is not None:
                place["ssl"] = client_context(settings.tls)
            connection = pymysql.connect(
                **place,
                user=settings.user,
                password=secret(settings.password, settings.password_file),
                database=settings.name,
                charset=CHARSET,
                connect_timeout=math.ceil(settings.connect_timeout_s),
                read_timeout=timeout_s,
                write_timeout=timeout_s,
                autocommit=True,
                conv=_CONVERSIONS,
                init_command=_STRICT,
                local_infile=False,
                client_flag=CLIENT.MULTI_STATEMENTS if self._takes_many else 0,
            )
            for statement in self._setup:
                connection.query(statement)
            return connection
        except AccessError as error:
            raise MysqlRefused(f"{self}: {error}") from None
        except (pymysql.err.MySQLError, OSError, RuntimeError) as error:
            raise sort_error(error, str(self)) from error
