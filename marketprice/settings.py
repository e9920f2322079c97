"""Settings of marketprice: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket or a store.

Source: protocol.md 6.4 (retention), 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from marketprice import settings_c
from marketprice.core.kline import Retention
from marketprice.zone import UnknownZone, open_zone, resolve_zone
from vxutils.client import AsyncClient
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.settings import (
    AlertSettings,
    ProcessSettings,
    ServerSettings,
    SettingsError,
    decode,
    is_c_config,
    parse_c_json,
    parse_toml,
    read_text,
    stores,
)
from vxutils.settings.addresses import address_problems, is_local, remote_problems, server_problems
from vxutils.settings.sections import PACKET_SIZE_BYTES_MAX, AddressText

WireStyle = Literal["plain", "viabtc"]
CacheSeconds = Annotated[float, Meta(ge=-86_400, le=86_400)]
YEAR_S = 365 * 86_400

# What an operator may call a server in TOML; no such setting exists, so the plain refusal of an unknown name
# would hide why.
TOML_STORES = {"deals": "Kafka", "kafka": "Kafka", "brokers": "Kafka", "redis": "Redis"}


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `GET /health` and `GET /metrics` are answered; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:7417"


class MarketpriceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything marketprice is told at start.

    `market_source`: where market.list is asked, an RPC address of the engine or an HTTP URL. `time_zone`:
    whose days and weeks; `local` = of the system. `sec_max`, `min_max`, `hour_max`: how many seconds,
    minutes, hours candles of that length are kept. `buckets_max`: of one market.kline.
    `reply_size_bytes_max`: below the `max_pkg_size` of whoever asks. `cache_timeout_s`: seconds a reply may
    be repeated.
    """

    process: ProcessSettings = ProcessSettings(title="marketprice")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings()
    svr: ServerSettings = ServerSettings(
        bind=("tcp@127.0.0.1:7416", "udp@127.0.0.1:7416"), max_pkg_size=1_000_000
    )
    monitor: MonitorSettings = MonitorSettings()
    wire_style: WireStyle = "plain"
    debug: bool = False
    market_source: AddressText = "tcp@127.0.0.1:7316"
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    sec_max: Annotated[int, Meta(ge=60, le=10 * YEAR_S)] = 604_800
    min_max: Annotated[int, Meta(ge=60, le=100 * YEAR_S // 60)] = 525_600
    hour_max: Annotated[int, Meta(ge=24, le=100 * YEAR_S // 3_600)] = 87_600
    buckets_max: Annotated[int, Meta(ge=100, le=1_000_000)] = 50_000
    reply_size_bytes_max: Annotated[int, Meta(ge=10_000, le=PACKET_SIZE_BYTES_MAX)] = 1_900_000
    cache_timeout_s: CacheSeconds = 0.0

    @property
    def retention(self) -> Retention:
        """How far back candles are kept."""
        return Retention(self.sec_max, self.min_max, self.hour_max)

    @property
    def zone_name(self) -> str:
        """The time zone by its own name; the loader has already looked it up."""
        return resolve_zone(self.time_zone)


def load_settings(path: Path, embedded: bool) -> LoadedSettings[MarketpriceSettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `embedded`: the operator said `--embedded`, so servers which the file names and this version cannot use
    are warned about instead of refused.

    Raises: SettingsError with all problems of the file in words.
    """
    text = read_text(path)
    is_c = is_c_config(text)
    problems: list[str] = []
    warnings: list[str] = []
    names: Mapping[str, str] = {}
    if is_c:
        table, warnings = parse_c_json(text)
        products, names = settings_c.C_STORES, settings_c.C_NAMES
        if not embedded:
            problems += [stores.missing(name) for name in products if name not in table]
    else:
        table, products = parse_toml(text), TOML_STORES
    named = stores.named_stores(table, products)
    if embedded:
        warnings += [stores.warning(store) for store in named]
    else:
        problems += [stores.refusal(store) for store in named]
    if is_c:
        try:
            translated = settings_c.translate(table)
        except SettingsError as error:
            raise SettingsError(error.problems + problems) from None
        table, warnings = translated.table, warnings + translated.warnings
    else:
        table = {name: value for name, value in table.items() if name not in TOML_STORES}
    settings, found = _decode_and_check(table, names)
    if settings is None or found or problems:
        raise SettingsError(found + problems)
    return LoadedSettings(settings, warnings)


def _decode_and_check(
    table: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[MarketpriceSettings | None, list[str]]:
    """The settings (None when they cannot even be decoded), and their problems in words."""
    decoded = decode(MarketpriceSettings, table, names=names)
    if decoded.value is None:
        return None, [str(problem) for problem in decoded.problems]
    settings = decoded.value
    problems = server_problems("svr", settings.svr)
    problems += remote_problems(names.get("alert.address", "alert.address"), settings.alert.address)
    if ":" in settings.log.path:
        problems += remote_problems("log.path", settings.log.path)
    monitor = settings.monitor.address
    wrong = address_problems("monitor.address", monitor, ("tcp", "stream"))
    if not wrong and not is_local(monitor):
        wrong = [f"monitor.address: {monitor} can be reached from other machines; use a loopback address"]
    problems += wrong
    try:
        AsyncClient(settings.market_source)
    except ValueError as error:
        problems.append(f"{names.get('market_source', 'market_source')}: {error}")
    try:
        open_zone(settings.zone_name)
    except UnknownZone as error:
        problems.append(f"time_zone: {error}")
    return settings, problems
