"""The C system's `config.json` of the alert centre, translated to the table of our TOML file.

Of its `log` only path and flag take effect there, the rest is fixed: by day, 100 MiB, 10 files, 7 days, no
process id. Nothing is bounded here: the table goes through the same decoding as a TOML file.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from vxutils.settings.c_sections import (
    COMMON_C_NAMES,
    CLog,
    CProcess,
    CRedis,
    Translated,
    decode_c,
    given,
    log_table,
    process_table,
    redis_table,
)

Table = dict[str, Any]

C_NAMES: Final = COMMON_C_NAMES
"""Paths of our settings by which the file knows them otherwise; for the words of a refusal."""

_LOG: Final = {
    "shift": "day",
    "max_bytes": 100 << 20,
    "num": 10,
    "keep": 7,
    "pid": False,
    "fork": False,
}


class CLineServer(msgspec.Struct, frozen=True, kw_only=True):
    bind: str | tuple[str, ...]
    max_pkg_size: int
    buf_limit: int | UnsetType = UNSET
    read_mem: int | UnsetType = UNSET
    write_mem: int | UnsetType = UNSET


class CAlertcenter(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. The store is required by the C system; here it may go with `--embedded`."""

    debug: bool | UnsetType = UNSET
    process: CProcess | UnsetType = UNSET
    log: CLog
    svr: CLineServer
    redis: CRedis | UnsetType = UNSET


def translate(config: Table) -> Translated:
    """`config` in our spelling, with the C system's defaults.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    c, warnings = decode_c(CAlertcenter, config)
    log = log_table(c.log, warnings)
    server: Table = {
        "bind": [c.svr.bind] if isinstance(c.svr.bind, str) else list(c.svr.bind),
        "max_pkg_size": c.svr.max_pkg_size,
    }
    table: Table = {
        "process": process_table(c.process, "alertcenter"),
        "log": {"path": log["path"], "flag": log["flag"]} | _LOG,
        "svr": server | given(read_mem=c.svr.read_mem),
        "monitor": {"address": ""},  # the C system has none, so its port may be anybody's
    }
    if c.redis is not UNSET:
        table["redis"] = redis_table(c.redis)
    return Translated(table, warnings)
