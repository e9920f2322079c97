"""The C system's `config.json` of readhistory, translated to the table of our TOML file.

Every key the C system knows is decoded and its JSON type checked. Nothing is bounded here: the table goes
through the same decoding as a TOML file, where bounds are declared.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from vxutils.settings import SettingsError, decode
from vxutils.settings.c_sections import (
    COMMON_C_NAMES,
    CAlert,
    CLog,
    CMysql,
    CProcess,
    CServer,
    alert_table,
    log_table,
    process_table,
    server_table,
)
from vxutils.settings.sections import BUF_LIMIT_MAX

Table = dict[str, Any]

C_STORES: Final = {"db_history": "MySQL"}
"""The section that names a server; the C system requires it."""

C_NAMES: Final = COMMON_C_NAMES
"""Paths of our settings by which the file knows them otherwise; for the words of a refusal."""


class CReadhistory(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. The store is required by the C system; here it may go with `--embedded`."""

    debug: bool | UnsetType = UNSET
    process: CProcess | UnsetType = UNSET
    log: CLog
    alert: CAlert
    svr: CServer
    db_history: CMysql | UnsetType = UNSET
    worker_num: int | UnsetType = UNSET


class Translated(msgspec.Struct, frozen=True):
    """The file as a table of our TOML, and warnings in words."""

    table: Table
    warnings: list[str]


def translate(config: Table) -> Translated:
    """`config` in our spelling, with the C system's defaults.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    decoded = decode(CReadhistory, config, unknown="warn")
    if decoded.value is None:
        raise SettingsError([str(problem) for problem in decoded.problems])
    c, warnings = decoded.value, [str(problem) for problem in decoded.warnings]
    server = {"heartbeat": "heartbeats_only", "buf_limit": BUF_LIMIT_MAX} | server_table(c.svr)
    table: Table = {
        "process": process_table(c.process, "readhistory"),
        "log": log_table(c.log, warnings),
        "alert": alert_table(c.alert),
        "svr": server,
        "monitor": {"address": ""},  # the C system has none, so its port may be anybody's
        "wire_style": "viabtc",
    }
    if c.debug is not UNSET:
        table["debug"] = c.debug
    if c.worker_num is not UNSET:
        table["worker_num"] = c.worker_num
    return Translated(table, warnings)
