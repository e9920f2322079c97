"""The C system's `config.json` of readhistory, translated to the table of our TOML file.

Every key the C system knows is decoded and its JSON type checked. Nothing is bounded here: the table goes
through the same decoding as a TOML file, where bounds are declared.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from vxutils.settings.c_sections import (
    COMMON_C_NAMES,
    CAlert,
    CLog,
    CMysql,
    CProcess,
    CServer,
    Translated,
    alert_table,
    decode_c,
    given,
    log_table,
    mysql_names,
    mysql_table,
    process_table,
    server_table,
)
from vxutils.settings.sections import BUF_LIMIT_MAX

Table = dict[str, Any]

C_STORES: Final = {"db_history": "MySQL"}
"""The section that names a server; with `--embedded` it is warned about and not used."""

C_NAMES: Final = COMMON_C_NAMES | mysql_names("mysql.history", "db_history")
"""Paths of our settings by which the file knows them otherwise; for the words of a refusal."""


class CReadhistory(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. The database is required by the C system; here it may go with `--embedded`."""

    debug: bool | UnsetType = UNSET
    process: CProcess | UnsetType = UNSET
    log: CLog
    alert: CAlert
    svr: CServer
    db_history: CMysql | UnsetType = UNSET
    worker_num: int | UnsetType = UNSET


def translate(config: Table) -> Translated:
    """`config` in our spelling, with the C system's defaults.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    c, warnings = decode_c(CReadhistory, config)
    server = {"heartbeat": "heartbeats_only", "buf_limit": BUF_LIMIT_MAX} | server_table(c.svr)
    table: Table = {
        "process": process_table(c.process, "readhistory"),
        "log": log_table(c.log, warnings),
        "alert": alert_table(c.alert),
        "svr": server,
        "monitor": {"address": ""},  # the C system has none, so its port may be anybody's
        "wire_style": "viabtc",
        "history": {"store": "mysql"},
        "mysql": {} if c.db_history is UNSET else {"history": mysql_table(c.db_history)},
    }
    return Translated(table | given(debug=c.debug, worker_num=c.worker_num), warnings)
