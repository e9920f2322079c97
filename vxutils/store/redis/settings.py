"""Where a Redis is, as settings name it: a master's name, and the sentinels that know it. Loads no driver."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from vxutils.store.access import FilePathText, TlsSettings, access_problems

_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")

UserText = Annotated[str, Meta(max_length=255)]
PasswordText = Annotated[str, Meta(max_length=1_000)]


class RedisLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are for the master and for its sentinels, and how they are known.

    `password_file`, `sentinel_password_file`: instead of a password, a file whose only line it is. `tls`: to
    all of them.
    """

    user: UserText = ""
    password: PasswordText = ""
    password_file: FilePathText = ""
    sentinel_user: UserText = ""
    sentinel_password: PasswordText = ""
    sentinel_password_file: FilePathText = ""
    tls: TlsSettings | None = None


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One database of one master. `name`: what sentinels call it; empty: no Redis.

    `addr`: `host:port` of each sentinel. `password`: of the master, if that is all it asks for; else `login`.
    Source: protocol.md 10.3.
    """

    name: Annotated[str, Meta(max_length=255, pattern=r"^[^\s]*$")] = ""
    addr: Annotated[tuple[Annotated[str, Meta(min_length=3, max_length=300)], ...], Meta(max_length=64)] = ()
    db: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    password: PasswordText = ""
    login: RedisLogin | None = None

    def __str__(self) -> str:
        """Without the password."""
        return f"Redis {self.name} at {', '.join(self.addr)}"


def place(text: str) -> tuple[str, int]:
    """Host and port of a sentinel. Raises: ValueError."""
    found = _PLACE.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 65_536:
        raise ValueError(f"{text!r} is no address such as host:26379")
    return found[1].strip("[]"), int(found[2])


def redis_problems(path: str, redis: RedisSettings) -> list[str]:
    """In words, for the operator; `path`: the section."""
    problems = []
    if redis.name and not redis.addr:
        problems.append(f"{path}.addr: empty, but the sentinels of {redis.name} are asked where it is")
    if redis.addr and not redis.name:
        problems.append(f"{path}.name: missing, but sentinels know a Redis by its name")
    for text in redis.addr:
        try:
            place(text)
        except ValueError as error:
            problems.append(f"{path}.addr: {error}")
    login, path = redis.login, f"{path}.login"
    if login is None:
        return problems
    if redis.password and (login.password or login.password_file):
        problems.append(f"{path}.password: the section around it names a password too; give one")
    problems += access_problems(path, login.password, login.password_file, login.tls)
    return problems + access_problems(
        path, login.sentinel_password, login.sentinel_password_file, None, prefix="sentinel_"
    )
