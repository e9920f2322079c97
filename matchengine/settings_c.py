"""The C system's `config.json` of the matchengine, translated to the table of our TOML file.

Every key the C system knows is decoded and its JSON type checked, also those we have no use for, so
that a file it would refuse is refused here too. Nothing is bounded here: the table goes through the
same decoding as a TOML file, where bounds are declared.

Source: protocol.md 3.1, 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any

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
from vxutils.zone import LOCAL

Table = dict[str, Any]

# What a key means when a C file leaves it out, wherever that differs from the default of our TOML.
# Not here although it differs from the C system: cache_timeout stays 0 (it had 0.45 s), because a
# stale depth breaks clients which read what they just wrote.
C_DEFAULTS: dict[str, object] = {
    "wire_style": "viabtc",  # byte-identical replies for whoever worked with the C system
    "svr.heartbeat": "heartbeats_only",
    "svr.buf_limit": BUF_LIMIT_MAX,  # the C system: no limit
    "repeat_age_s": 86_400,
    "monitor.address": None,  # the C system has none, so its port may be anybody's
    "recorder.monitor_address": None,
    "recorder.messages_monitor_address": None,
    "history.time_zone": LOCAL,
}

# The sections that name servers, all required by the C system; with `--embedded` they are not used.
C_STORES = {"db_log": "MySQL", "db_history": "MySQL", "brokers": "Kafka"}

# Paths of our settings by which the file knows them otherwise; for the words of a refusal.
C_NAMES = (
    COMMON_C_NAMES
    | mysql_names("mysql.log", "db_log")
    | mysql_names("mysql.history", "db_history")
    | {"cli.address": "cli", "cache_timeout_s": "cache_timeout", "kafka.brokers": "brokers"}
    | {"history.slice_interval_s": "slice_interval", "history.slice_keep_s": "slice_keeptime"}
)


class CAsset(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    prec_save: int
    prec_show: int | UnsetType = UNSET


class CMarketAsset(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    prec: int


class CMarket(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stock: CMarketAsset
    money: CMarketAsset
    fee_prec: int | UnsetType = UNSET
    min_amount: str | UnsetType = UNSET


class CMatchengine(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. The stores are required by the C system; here they may go with `--embedded`."""

    process: CProcess | UnsetType = UNSET
    log: CLog
    alert: CAlert
    svr: CServer
    cli: str
    assets: tuple[CAsset, ...]
    markets: tuple[CMarket, ...]
    debug: bool | UnsetType = UNSET
    cache_timeout: float | UnsetType = UNSET
    db_log: CMysql | UnsetType = UNSET
    db_history: CMysql | UnsetType = UNSET
    brokers: str | UnsetType = UNSET
    slice_interval: int | UnsetType = UNSET
    slice_keeptime: int | UnsetType = UNSET
    history_thread: int | UnsetType = UNSET


def translate(config: Table) -> Translated:
    """`config` in our spelling.

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    c, warnings = decode_c(CMatchengine, config)
    table: Table = {
        "process": process_table(c.process, "matchengine"),
        "log": log_table(c.log, warnings),
        "alert": alert_table(c.alert),
        "svr": server_table(c.svr),
        "cli": {"address": c.cli},
        "asset": [given(**msgspec.structs.asdict(asset)) for asset in c.assets],
        "market": [_market_table(market) for market in c.markets],
    }
    databases = {"log": c.db_log, "history": c.db_history}
    slices = given(slice_interval_s=c.slice_interval, slice_keep_s=c.slice_keeptime)
    table["history"] = {"store": "mysql"} | slices
    table["mysql"] = {name: mysql_table(one) for name, one in databases.items() if one is not UNSET}
    table["kafka"] = given(brokers=c.brokers)
    table |= given(debug=c.debug, cache_timeout_s=c.cache_timeout)
    for path, value in C_DEFAULTS.items():
        section, _, name = path.rpartition(".")
        (table.setdefault(section, {}) if section else table).setdefault(name, value)
    return Translated(table, warnings)


def _market_table(market: CMarket) -> Table:
    return given(
        name=market.name,
        stock=market.stock.name,
        stock_prec=market.stock.prec,
        money=market.money.name,
        money_prec=market.money.prec,
        fee_prec=market.fee_prec,
        min_amount=market.min_amount,
    )
