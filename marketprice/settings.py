"""Settings of marketprice: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket or a store.

Source: protocol.md 6.4 (retention), 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from marketprice import settings_c
from marketprice.core.kline import Retention
from vxutils.client import AsyncClient
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.settings import AlertSettings, ProcessSettings, ServerSettings, stores
from vxutils.settings.addresses import loopback_problems, outgoing_problems, server_problems
from vxutils.settings.loading import SettingsFile, load
from vxutils.settings.sections import PACKET_SIZE_BYTES_MAX, AddressText
from vxutils.store.kafka.settings import DealsTopic, topic_problems
from vxutils.store.mysql.settings import MysqlSettings, mysql_problems
from vxutils.store.redis.settings import RedisSettings, redis_problems
from vxutils.zone import UnknownZone, open_zone, resolve_zone

WireStyle = Literal["plain", "viabtc"]
CacheSeconds = Annotated[float, Meta(ge=-86_400, le=86_400)]
YEAR_S = 365 * 86_400


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `GET /health` and `GET /metrics` are answered; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:7417"


class RingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The latest numbers of each market in shared memory, for gateways on the same host."""

    enabled: bool = True


class MysqlSection(msgspec.Struct, frozen=True, kw_only=True):
    """The databases; marketprice can use one."""

    history: MysqlSettings | None = None


class MarketpriceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything marketprice is told at start.

    `market_source`: where market.list is asked, an RPC address of the engine or an HTTP URL. `time_zone`:
    whose days and weeks; `local` = of the system. `sec_max`, `min_max`, `hour_max`: how many seconds,
    minutes, hours candles of that length are kept. `buckets_max`: of one market.kline.
    `reply_size_bytes_max`: below the `max_pkg_size` of whoever asks. `cache_timeout_s`: seconds a reply may
    be repeated. `deals`: the topic they are read from, instead of the recorder's messages beside us. `redis`:
    where the state is kept, instead of a file in the data directory. `mysql.history`: what the topic lost is
    read there; without it, from the data directory, if that has a history. `history_wait_s`: how long deals
    wait for a history that is away or behind.
    """

    process: ProcessSettings = ProcessSettings(title="marketprice")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings()
    svr: ServerSettings = ServerSettings(
        bind=("tcp@127.0.0.1:7416", "udp@127.0.0.1:7416"), max_pkg_size=1_000_000
    )
    monitor: MonitorSettings = MonitorSettings()
    rings: RingSettings = RingSettings()
    deals: DealsTopic = DealsTopic()
    redis: RedisSettings = RedisSettings()
    mysql: MysqlSection = MysqlSection()
    history_wait_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
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

    `embedded`: the operator said `--embedded`, so servers which the file names are not used, with a warning.

    Raises: SettingsError with all problems of the file in words.
    """
    file = SettingsFile(
        kind=MarketpriceSettings,
        translate=settings_c.translate,
        check=lambda settings, names: _problems(settings, names, embedded),
        c_names=settings_c.C_NAMES,
    )
    settings, warnings = load(file, path, embedded)
    if embedded and settings.deals.brokers:
        warnings.append(stores.warning(stores.NamedStore("deals", "Kafka", settings.deals.brokers)))
        settings = msgspec.structs.replace(settings, deals=DealsTopic())
    if embedded and settings.mysql.history is not None:
        warnings.append(
            stores.warning(stores.NamedStore("mysql.history", "MySQL", settings.mysql.history.host))
        )
        settings = msgspec.structs.replace(settings, mysql=MysqlSection())
    if embedded and settings.redis.name:
        warnings.append(stores.warning(stores.NamedStore("redis", "Redis", settings.redis.name)))
        settings = msgspec.structs.replace(settings, redis=RedisSettings())
    return LoadedSettings(settings, warnings)


def _problems(settings: MarketpriceSettings, names: Mapping[str, str], embedded: bool) -> list[str]:
    problems = server_problems("svr", settings.svr)
    problems += outgoing_problems(settings.alert, settings.log, names)
    problems += loopback_problems("monitor.address", settings.monitor.address)
    if not embedded:
        problems += topic_problems("deals", settings.deals) + redis_problems("redis", settings.redis)
        if settings.mysql.history is not None:
            problems += mysql_problems("mysql.history", settings.mysql.history)
        # The C system requires both.
        given = {"deals": bool(settings.deals.brokers), "redis": bool(settings.redis.name)}
        problems += [stores.missing(name) for name, is_given in given.items() if names and not is_given]
    try:
        AsyncClient(settings.market_source)
    except ValueError as error:
        problems.append(f"{names.get('market_source', 'market_source')}: {error}")
    try:
        open_zone(settings.zone_name)
    except UnknownZone as error:
        problems.append(f"time_zone: {error}")
    return problems
