"""The sections common to the C system's `config.json` files, and what they are in ours.

`decode_c` reads a whole such file, of whose Struct each process declares its own.
The Structs give names and JSON types only. Bounds are declared once, in `sections`: each `*_table`
function returns a table in our spelling, which is then decoded like a TOML file. A key the file does
not give stays out of that table, so that our default (or the stated C default) takes its place.

Source: protocol.md 10.3.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import UNSET, UnsetType

from vxutils.log import LevelName
from vxutils.settings.decoding import decode
from vxutils.settings.files import SettingsError
from vxutils.settings.sections import BUF_LIMIT_MAX

T = TypeVar("T", bound=msgspec.Struct)
Table = dict[str, Any]

# Where the path of a setting differs between a C file and ours; for the words of a refusal.
COMMON_C_NAMES = {
    "log.max_bytes": "log.max",
    "alert.address": "alert.addr",
}


class CProcess(msgspec.Struct, frozen=True, kw_only=True):
    file_limit: int | UnsetType = UNSET
    core_limit: int | UnsetType = UNSET


class CLog(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    flag: str
    shift: str | UnsetType = UNSET
    pid: bool | UnsetType = UNSET
    fork: bool | UnsetType = UNSET
    max: int | UnsetType = UNSET
    num: int | UnsetType = UNSET
    keep: int | UnsetType = UNSET


class CAlert(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    addr: str


class CServer(msgspec.Struct, frozen=True, kw_only=True):
    """An RPC server."""

    bind: str | tuple[str, ...]
    max_pkg_size: int
    buf_limit: int | UnsetType = UNSET
    read_mem: int | UnsetType = UNSET
    write_mem: int | UnsetType = UNSET
    heartbeat_check: bool | UnsetType = UNSET


class CMysql(msgspec.Struct, frozen=True, kw_only=True, rename={"password": "pass"}):
    host: str
    user: str
    password: str
    name: str
    port: int = 3306
    charset: str = "utf8"


def mysql_table(database: CMysql) -> Table:
    """Our section of a MySQL database."""
    table: Table = msgspec.to_builtins(database)
    table["password"] = table.pop("pass")
    return table


def mysql_names(section: str, c_section: str) -> dict[str, str]:
    """Paths of our section of a database as a C file has them."""
    names = {
        f"{section}.{name}": f"{c_section}.{name}" for name in ("host", "port", "user", "name", "charset")
    }
    return names | {section: c_section, f"{section}.password": f"{c_section}.pass"}


class CRedis(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis behind sentinels."""

    name: str
    addr: tuple[str, ...]
    db: int | UnsetType = UNSET


def redis_table(redis: CRedis) -> Table:
    """Our section of a Redis; an address may be parted by colon, space or tab (protocol.md 1.6)."""
    sentinels = [re.sub(r"[ \t]+", ":", text.strip()) for text in redis.addr]
    return {"name": redis.name, "addr": sentinels} | given(db=redis.db)


class Translated(msgspec.Struct, frozen=True):
    """A C file as a table of our TOML, and warnings in words."""

    table: Table
    warnings: list[str]


def decode_c(kind: type[T], config: Table) -> tuple[T, list[str]]:
    """`config` as the C file `kind`, and a warning for each key it does not know.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    decoded = decode(kind, config, unknown="warn")
    if decoded.value is None:
        raise SettingsError([str(problem) for problem in decoded.problems])
    return decoded.value, [str(problem) for problem in decoded.warnings]


def log_table(log: CLog, warnings: list[str]) -> Table:
    """Our `log` section. Level names the C system would silently drop are pointed out.

    Source: protocol.md 10.2 (separators of `flag`, a `shift` that is no known word means day).
    """
    flag = [word.lower() for word in re.split(r"[,\s]+", log.flag) if word]
    known = [word for word in flag if word in get_args(LevelName)]
    warnings.extend(f"log.flag: {word!r} is no level, ignored" for word in flag if word not in known)
    table = given(path=log.path, flag=known, pid=log.pid, fork=log.fork, num=log.num, keep=log.keep)
    table |= given(max_bytes=log.max)
    if log.shift is not UNSET:
        table["shift"] = log.shift if log.shift in ("size", "hour", "min") else "day"
    return table


def alert_table(alert: CAlert) -> Table:
    """Our `alert` section; the address may be parted by colon, space or tab (protocol.md 1.6)."""
    return {"host": alert.host, "address": re.sub(r"[ \t]+", ":", alert.addr.strip())}


def process_table(process: CProcess | UnsetType, title: str) -> Table:
    """Our `process` section."""
    if process is UNSET:
        return {"title": title}
    return {"title": title} | given(file_limit=process.file_limit, core_limit=process.core_limit)


def server_table(server: CServer) -> Table:
    """Our section of an RPC server. `buf_limit` 0 (no limit) becomes the largest limit we know."""
    bind = [server.bind] if isinstance(server.bind, str) else list(server.bind)
    table = {"bind": bind, "max_pkg_size": server.max_pkg_size}
    table |= given(read_mem=server.read_mem, write_mem=server.write_mem)
    if server.buf_limit is not UNSET:
        table["buf_limit"] = server.buf_limit or BUF_LIMIT_MAX
    if server.heartbeat_check is not UNSET:
        table["heartbeat"] = "heartbeats_only" if server.heartbeat_check else "off"
    return table


def given(**values: object) -> Table:
    """The values that the file gives; the others keep our default."""
    return {name: value for name, value in values.items() if value is not UNSET}
