"""A small declaration with every kind of setting, for the tests of the decoding."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType


class Server(msgspec.Struct, frozen=True, kw_only=True):
    bind: Annotated[tuple[str, ...], Meta(min_length=1, max_length=3)]
    max_pkg_size: Annotated[int, Meta(ge=256, le=1024)] = 512
    mode: Literal["fast", "safe"] = "safe"


class Login(msgspec.Struct, frozen=True, kw_only=True, rename={"password": "pass"}):
    password: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    svr: Server = Server(bind=("tcp@127.0.0.1:1",), max_pkg_size=1000)
    login: Login | UnsetType = UNSET
    debug: bool = False
    ratio: Annotated[float, Meta(ge=0, le=1)] = 0.5
    free: float | UnsetType = UNSET
    count: int | UnsetType = UNSET
    title: Annotated[str, Meta(min_length=1, max_length=8)] = "vx"
    place: str | None = None
    many: str | tuple[str, ...] = ""
    row: tuple[Row, ...] = ()
