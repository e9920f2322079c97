"""Where a Redis is, as settings name it: a master's name, and the sentinels that know it. Loads no driver."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One database of one master. `name`: what sentinels call it; empty: no Redis.

    `addr`: `host:port` of each sentinel. Source: protocol.md 10.3.
    """

    name: Annotated[str, Meta(max_length=255, pattern=r"^[^\s]*$")] = ""
    addr: Annotated[tuple[Annotated[str, Meta(min_length=3, max_length=300)], ...], Meta(max_length=64)] = ()
    db: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    password: Annotated[str, Meta(max_length=1_000)] = ""

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
    return problems
