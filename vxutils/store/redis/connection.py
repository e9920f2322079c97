"""One connection to one Redis server: commands out, replies in; no wait has no end.

It is opened for one use and closed after it, as in the C system, so that each use meets the master of its
time. Belongs to one thread. Texts are UTF-8; what is none comes and goes unchanged.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import redis.connection
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from vxutils.store.access import AccessError, TlsSettings, client_context, secret
from vxutils.store.redis.errors import RedisError, RedisRefused, RedisWrong, sort_error

TIMEOUT_S: Final = 3.0
"""Of connecting and of each answer. Source: protocol.md 6.5."""

Command = Sequence[str | int]


class Login(msgspec.Struct, frozen=True):
    """Who we are, and how the server is known; empty: nobody asks. `password_file`: instead of `password`."""

    user: str = ""
    password: str = ""
    password_file: str = ""
    tls: TlsSettings | None = None


NOBODY: Final = Login()


class Connection:
    """A connected server. Every method raises a RedisError; after one that is no RedisWrong it is closed."""

    def __init__(self, host: str, port: int, db: int = 0, login: Login = NOBODY) -> None:
        """Connects, logs in, selects the database. Raises: RedisError."""
        self._where = f"Redis {host}:{port}"
        connect: Any = redis.connection.Connection  # not typed by the driver
        more: dict[str, Any] = {}
        try:
            password = secret(login.password, login.password_file)
            if login.tls is not None:
                connect, more = _TlsConnection, {"context": client_context(login.tls)}
        except AccessError as error:
            raise RedisRefused(f"{self._where}: {error}") from None
        self._connection = connect(
            host=host,
            port=port,
            db=db,
            username=login.user or None,
            password=password or None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            encoding="utf-8",
            encoding_errors="surrogateescape",
            decode_responses=True,
            **more,
        )
        try:
            self._connection.connect()
        except (exceptions.RedisError, OSError) as error:
            self.close()
            raise sort_error(error, self._where) from error

    def __str__(self) -> str:
        return self._where

    def close(self) -> None:
        with suppress(exceptions.RedisError, OSError):
            self._connection.disconnect()

    def ask(self, *command: str | int) -> Any:
        """The reply to one command: texts, numbers, lists of them, None."""
        return self.ask_all([command])[0]

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands that are sent at once. Raises the error of the first that failed."""
        replies: list[Any] = []
        failed: RedisError | None = None
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
            for _ in commands:
                try:
                    replies.append(self._connection.read_response(disconnect_on_error=True))
                except exceptions.ResponseError as error:
                    failed = failed or sort_error(error, self._where)
        except (exceptions.RedisError, OSError) as error:
            self.close()
            raise sort_error(error, self._where) from error
        except BaseException:
            self.close()  # an answer may be on its way that nobody reads
            raise
        if failed is not None:
            if not isinstance(failed, RedisWrong):
                self.close()
            raise failed
        return replies

    def transaction(self, commands: Sequence[Command]) -> bool:
        """Runs commands at once or not at all; False, and nothing is done: a watched key has changed.

        Raises: RedisError. Of RedisWrong those that fit have been done all the same: the server takes nothing
        back. Any other error leaves open whether it was done.
        """
        replies = self.ask_all([("MULTI",), *commands, ("EXEC",)])[-1]
        if replies is None:
            return False
        for reply in replies:
            if isinstance(reply, Exception):
                raise sort_error(reply, self._where) from reply
        return True


class _TlsConnection(redis.connection.SSLConnection):
    """With our TLS context: the driver's own one trusts the authorities of the system as well."""

    def __init__(self, *, context: ssl.SSLContext, **more: Any) -> None:
        super().__init__(**more)
        self._context = context

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_hostname=self.host)
