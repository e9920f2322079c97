"""Where a MySQL or MariaDB database is, as settings name it. Loads no driver."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vxutils.store.access import FilePathText, TlsSettings, access_problems

PORT: int = 3306
Charset = Literal["utf8", "utf8mb3", "utf8mb4"]


class MysqlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One database. `host`: a name, an address, or the path of a unix socket.

    `charset` is what the C system's configuration says. Whichever it is, the connection speaks `utf8mb4`,
    in which every text has the same bytes and none is cut. `connect_timeout_s`, `timeout_s`: seconds that a
    connection, and an answer, may take. `password_file`: instead of `password`, a file whose only line it is.
    With `tls` nothing is sent to a server without TLS; without it TLS is used where the server has it, and
    its certificate is not looked at.

    Source: protocol.md 10.3.
    """

    host: Annotated[str, Meta(min_length=1, max_length=255)]
    user: Annotated[str, Meta(min_length=1, max_length=80)]
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^`/\\.\x00]+$")]
    password: Annotated[str, Meta(max_length=255)] = ""
    password_file: FilePathText = ""
    tls: TlsSettings | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = PORT
    charset: Charset = "utf8"
    connect_timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 60.0

    def __str__(self) -> str:
        """Without the password."""
        place = self.host if self.host.startswith("/") else f"{self.host}:{self.port}"
        return f"MySQL database {self.name} at {place}"


def mysql_problems(path: str, database: MysqlSettings) -> list[str]:
    """In words, for the operator; `path`: the section."""
    problems = access_problems(path, database.password, database.password_file, database.tls)
    if database.tls is not None and database.host.startswith("/"):
        problems.append(f"{path}.tls: the server is on this machine ({database.host}), TLS is for other ones")
    return problems
