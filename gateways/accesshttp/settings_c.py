"""The C system's `config.json` of accesshttp, translated to the table of our TOML file.

Every key the C system knows is decoded and its JSON type checked, so that a file it would refuse is refused
here too. Nothing is bounded here: the table goes through the same decoding as a TOML file.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from gateways.common.settings_c import CClient, CMonitor, addresses, client_table
from vxutils.settings.c_sections import (
    COMMON_C_NAMES,
    CAlert,
    CLog,
    CProcess,
    Translated,
    alert_table,
    decode_c,
    given,
    log_table,
    process_table,
)
from vxutils.settings.sections import BUF_LIMIT_MAX

Table = dict[str, Any]

KEEP_ALIVE_DEFAULT_S = 3_600.0
UNSENT_SIZE_BYTES_MAX = 1 << 32  # the largest `unsent_size_bytes_max` we know, for "no limit"

# Paths of our settings by which the file knows them otherwise; for the words of a refusal.
C_NAMES = COMMON_C_NAMES | {
    "timeout_s": "timeout",
    "listener": "svr",
    "listener[0].bind": "svr.bind",
    "http.keep_alive_s": "svr.keep_alive",
    "http.body_size_bytes_max": "svr.max_pkg_size",
    "http.read_mem": "svr.read_mem",
    "http.write_mem": "svr.write_mem",
    "monitor.address": "monitor.bind",
    "matchengine.address": "matchengine.addr",
    "marketprice.address": "marketprice.addr",
    "readhistory.address": "readhistory.addr",
}


class CHttp(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP server."""

    bind: str | tuple[str, ...]
    max_pkg_size: int
    buf_limit: int | UnsetType = UNSET
    read_mem: int | UnsetType = UNSET
    write_mem: int | UnsetType = UNSET
    keep_alive: int | UnsetType = UNSET


class CAccesshttp(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `debug` stands in samples and has no effect on a gateway."""

    debug: bool | UnsetType = UNSET
    process: CProcess | UnsetType = UNSET
    log: CLog
    alert: CAlert
    svr: CHttp
    monitor: CMonitor
    matchengine: CClient
    marketprice: CClient
    readhistory: CClient
    timeout: float | UnsetType = UNSET
    worker_num: int | UnsetType = UNSET


def translate(config: Table) -> Translated:
    """`config` in our spelling, with the C system's defaults.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    c, warnings = decode_c(CAccesshttp, config)
    monitor = addresses(c.monitor.bind)
    if len(monitor) > 1:
        warnings.append(f"monitor.bind: only {monitor[0]} is used")
    table: Table = {
        "process": process_table(c.process, "accesshttp"),
        "log": log_table(c.log, warnings),
        "alert": alert_table(c.alert),
        "wire_style": "viabtc",
        "http": _http_table(c.svr),
        "listener": [{"bind": addresses(c.svr.bind)}],
        "monitor": {"address": monitor[0] if monitor else ""},
        "matchengine": client_table(c.matchengine),
        "marketprice": client_table(c.marketprice) | {"request_size_bytes_max": 1_000_000},
        "readhistory": client_table(c.readhistory) | {"request_size_bytes_max": 1_000_000},
    }
    return Translated(table | given(timeout_s=c.timeout, worker_num=c.worker_num), warnings)


def _http_table(svr: CHttp) -> Table:
    """`max_pkg_size` is the size of one read there, and so the size of the largest body that comes whole."""
    table: Table = {
        "body_size_bytes_max": svr.max_pkg_size,
        "keep_alive_s": KEEP_ALIVE_DEFAULT_S if svr.keep_alive is UNSET else svr.keep_alive,
        "unsent_size_bytes_max": UNSENT_SIZE_BYTES_MAX,
    }
    if svr.buf_limit is not UNSET and 0 < svr.buf_limit < BUF_LIMIT_MAX:
        # Never below the default: ours bounds answers that wait for their turn as well.
        table["unsent_size_bytes_max"] = max(svr.buf_limit * svr.max_pkg_size, 8 << 20)
    return table | given(read_mem=svr.read_mem, write_mem=svr.write_mem)
