"""The C system's `config.json` of accessws, translated to the table of our TOML file.

Every key the C system knows is decoded and its JSON type checked, so that a file it would refuse is refused
here too. Nothing is bounded here: the table goes through the same decoding as a TOML file.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateways.common.settings_c import (
    CClient,
    CConsumer,
    CMonitor,
    addresses,
    authentication_table,
    client_table,
    consumer_table,
)
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
UNSENT_SIZE_BYTES_MIN = 8 << 20  # our default: no connection gets less than that
UNSENT_SIZE_BYTES_MAX = 1 << 32  # the largest `unsent_size_bytes_max` we know, for "no limit"

PUSH_KEYS: Final = ("deals", "price", "state", "today", "kline", "depth")

# Paths of our settings by which the file knows them otherwise; for the words of a refusal.
C_NAMES = COMMON_C_NAMES | {
    "timeout_s": "backend_timeout",
    "cache_timeout_s": "cache_timeout",
    "listener": "svr",
    "listener[0].bind": "svr.bind",
    "listener[0].origins": "svr.origin",
    "listener[0].origins[0]": "svr.origin",
    "websocket.protocol": "svr.protocol",
    "websocket.keep_alive_s": "svr.keep_alive",
    "websocket.message_size_bytes_max": "svr.max_pkg_size",
    "websocket.read_mem": "svr.read_mem",
    "websocket.write_mem": "svr.write_mem",
    "authentication.auth_url": "auth_url",
    "authentication.sign_url": "sign_url",
    "authentication.timeout_s": "backend_timeout",
    "push.depth_limit": "depth_limit",
    "push.depth_merge": "depth_merge",
    **{f"push.{kind}_interval_s": f"{kind}_interval" for kind in PUSH_KEYS},
    "monitor.address": "monitor.bind",
    "matchengine.address": "matchengine.addr",
    "marketprice.address": "marketprice.addr",
    "readhistory.address": "readhistory.addr",
}


class CWebsocket(msgspec.Struct, frozen=True, kw_only=True):
    """A websocket server."""

    bind: str | tuple[str, ...]
    max_pkg_size: int
    buf_limit: int | UnsetType = UNSET
    read_mem: int | UnsetType = UNSET
    write_mem: int | UnsetType = UNSET
    keep_alive: int | UnsetType = UNSET
    protocol: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET


class CAccessws(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `debug` and `timeout` stand in samples and have no effect.

    `orders` and `balances` are required there, `deals` stands in samples.
    """

    debug: bool | UnsetType = UNSET
    timeout: float | UnsetType = UNSET
    deals: CConsumer | UnsetType = UNSET
    process: CProcess | UnsetType = UNSET
    log: CLog
    alert: CAlert
    svr: CWebsocket
    monitor: CMonitor
    matchengine: CClient
    marketprice: CClient
    readhistory: CClient
    orders: CConsumer | UnsetType = UNSET
    balances: CConsumer | UnsetType = UNSET
    worker_num: int | UnsetType = UNSET
    auth_url: str
    sign_url: str
    backend_timeout: float | UnsetType = UNSET
    cache_timeout: float | UnsetType = UNSET
    deals_interval: float | UnsetType = UNSET
    price_interval: float | UnsetType = UNSET
    state_interval: float | UnsetType = UNSET
    today_interval: float | UnsetType = UNSET
    kline_interval: float | UnsetType = UNSET
    depth_interval: float | UnsetType = UNSET
    depth_limit: tuple[int, ...]
    depth_merge: tuple[str, ...]


def translate(config: Table) -> Translated:
    """`config` in our spelling, with the C system's defaults.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    c, warnings = decode_c(CAccessws, config)
    monitor = addresses(c.monitor.bind)
    if len(monitor) > 1:
        warnings.append(f"monitor.bind: only {monitor[0]} is used")
    listener: Table = {"bind": addresses(c.svr.bind)}
    if c.svr.origin is not UNSET and c.svr.origin:
        listener["origins"] = [c.svr.origin]
    table: Table = {
        "process": process_table(c.process, "accessws"),
        "log": log_table(c.log, warnings),
        "alert": alert_table(c.alert),
        "wire_style": "viabtc",
        "websocket": _websocket_table(c.svr),
        "listener": [listener],
        "authentication": authentication_table(c.auth_url, c.sign_url, c.backend_timeout),
        "push": {
            "timing": "interval",
            "depth_limit": list(c.depth_limit),
            "depth_merge": list(c.depth_merge),
            **given(**{f"{kind}_interval_s": getattr(c, f"{kind}_interval") for kind in PUSH_KEYS}),
        },
        "monitor": {"address": monitor[0] if monitor else ""},
        "matchengine": client_table(c.matchengine),
        "marketprice": client_table(c.marketprice) | {"request_size_bytes_max": 1_000_000},
        "readhistory": client_table(c.readhistory) | {"request_size_bytes_max": 1_000_000},
    }
    for name in ("orders", "balances", "deals"):
        consumer = getattr(c, name)
        if consumer is not UNSET:
            table[name] = consumer_table(consumer)
    table |= given(timeout_s=c.backend_timeout, cache_timeout_s=c.cache_timeout, worker_num=c.worker_num)
    return Translated(table, warnings)


def _websocket_table(svr: CWebsocket) -> Table:
    """`max_pkg_size` bounds a frame there, and a message here."""
    table: Table = {
        "message_size_bytes_max": svr.max_pkg_size,
        "keep_alive_s": KEEP_ALIVE_DEFAULT_S if svr.keep_alive is UNSET else svr.keep_alive,
        "unsent_size_bytes_max": UNSENT_SIZE_BYTES_MAX,
    }
    if svr.buf_limit is not UNSET and 0 < svr.buf_limit < BUF_LIMIT_MAX:
        table["unsent_size_bytes_max"] = min(
            max(svr.buf_limit * svr.max_pkg_size, UNSENT_SIZE_BYTES_MIN), UNSENT_SIZE_BYTES_MAX
        )
    return table | given(protocol=svr.protocol, read_mem=svr.read_mem, write_mem=svr.write_mem)
