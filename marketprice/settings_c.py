"""The C system's `config.json` of marketprice, translated to the table of our TOML file.

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
    CRedis,
    CServer,
    Translated,
    alert_table,
    decode_c,
    given,
    log_table,
    mysql_names,
    mysql_table,
    process_table,
    redis_table,
    server_table,
)
from vxutils.settings.sections import BUF_LIMIT_MAX
from vxutils.zone import LOCAL

Table = dict[str, Any]

C_NAMES: Final = (
    COMMON_C_NAMES
    | {"market_source": "accesshttp", "cache_timeout_s": "cache_timeout"}
    | mysql_names("mysql.history", "db_history")
)
"""Paths of our settings by which the file knows them otherwise; for the words of a refusal."""


class CConsumer(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer of one topic."""

    brokers: str
    topic: str
    partition: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class CMarketprice(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. The stores are required by the C system; here they may go with `--embedded`.

    `db_history` is not known to the C system's marketprice; it is written as its other processes have it.
    """

    debug: bool | UnsetType = UNSET
    process: CProcess | UnsetType = UNSET
    log: CLog
    alert: CAlert
    svr: CServer
    deals: CConsumer | UnsetType = UNSET
    redis: CRedis | UnsetType = UNSET
    db_history: CMysql | UnsetType = UNSET
    sec_max: int | UnsetType = UNSET
    min_max: int | UnsetType = UNSET
    hour_max: int | UnsetType = UNSET
    cache_timeout: float | UnsetType = UNSET
    accesshttp: str


def translate(config: Table) -> Translated:
    """`config` in our spelling, with the C system's defaults.

    As in the matchengine, cache_timeout left out means no cache (0.45 s there).

    Raises: SettingsError with every key that is missing or of a wrong JSON type.
    """
    c, warnings = decode_c(CMarketprice, config)
    table: Table = {
        "process": process_table(c.process, "marketprice"),
        "log": log_table(c.log, warnings),
        "alert": alert_table(c.alert),
        "svr": {"heartbeat": "heartbeats_only", "buf_limit": BUF_LIMIT_MAX} | server_table(c.svr),
        "monitor": {"address": ""},  # the C system has none, so its port may be anybody's
        "wire_style": "viabtc",
        "market_source": c.accesshttp,
        "time_zone": LOCAL,
    }
    if c.deals is not UNSET:
        place = {"brokers": c.deals.brokers, "topic": c.deals.topic}
        table["deals"] = place | given(partition=c.deals.partition)
    if c.redis is not UNSET:
        table["redis"] = redis_table(c.redis)
    if c.db_history is not UNSET:
        table["mysql"] = {"history": mysql_table(c.db_history)}
    table |= given(debug=c.debug, sec_max=c.sec_max, min_max=c.min_max, hour_max=c.hour_max)
    return Translated(table | given(cache_timeout_s=c.cache_timeout), warnings)
