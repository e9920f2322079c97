"""Settings of the matchengine: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives
the same Struct through `settings_c`. A settings file only *proposes* assets and markets: the rules
in force are journaled state (`matchengine.core.rules`). Nothing here opens a socket or a directory.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from matchengine import settings_c
from matchengine.core.rules import AssetRule, MarketRule, Rules, check_rules
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.settings import AlertSettings, ProcessSettings, ServerSettings, SettingsError, stores
from vxutils.settings.addresses import address_problems, is_local, outgoing_problems, server_problems
from vxutils.settings.loading import SettingsFile, decode_and_check, parse
from vxutils.settings.sections import AddressText
from vxutils.store.kafka.settings import BrokersText, KafkaLogin, brokers_problems, login_problems
from vxutils.store.mysql.settings import MysqlSettings, mysql_problems
from vxutils.zone import UnknownZone, open_zone, resolve_zone

WireStyle = Literal["plain", "viabtc"]
Durability = Literal["group", "interval", "off"]
OnDivergence = Literal["halt", "alarm"]
Seconds = Annotated[int, Meta(ge=1, le=10 * 365 * 86_400)]
CacheSeconds = Annotated[float, Meta(ge=-86_400, le=86_400)]

# The largest record beside its request's own bytes: the parsed command, whose texts are bounded (detail
# 4 KiB, numbers 64 characters, key 36), and the headers of record and frame.
RECORD_OVERHEAD_BYTES_MAX = 6 << 10

# The largest book of 64-bit numbers in a ring: a level is two numbers of 9 bytes in an array.
RING_LEVEL_BYTES = 19
RING_HEAD_BYTES = 128

# The sections that name servers; with `--embedded` they are warned about and not used.
TOML_STORES = {"mysql": "MySQL", "kafka": "Kafka"}

CONSOLE_IS_OPEN = "can be reached from other machines, and the console asks nobody who he is"


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The line console of protocol.md 10.5; it asks nobody who he is, so it stays on this machine."""

    address: AddressText | None = "tcp@127.0.0.1:7317"


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `GET /health` and `GET /metrics` are answered; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:7318"


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How and where commands become durable.

    `durability`: `group` answers after the sync of the disk; `interval` answers at once and syncs every
    `sync_interval_ms`; `off` never syncs. `journal_dir` None = `journal` in the data directory. Below
    `disk_reserve_bytes` of free space new orders are refused while cancels and queries go on.
    """

    durability: Durability = "group"
    sync_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 100
    segment_size_bytes: Annotated[int, Meta(ge=64 << 10, le=1 << 30)] = 64 << 20
    journal_dir: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    disk_reserve_bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = 256 << 20


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The recorder, second process of this package.

    `lag_part_max`: new orders are refused while the journal that waits for the recorder is more than this
    part of the free space. `slice_minutes`: a slice after so many minutes even if fewer than `slice_records`
    came (0: none by time). `messages_keep_hours`: messages that every consumer has taken go after so long.
    `check_bytes_max`: a larger history.db is not checked through at start. `archive`: whether old journal
    segments are compressed; otherwise they stay as they are. `rings`: whether messages are put into shared
    memory too, `ring_size_bytes` for each topic. `monitor_address`: where `GET /health` and `GET /metrics`
    are answered; None = nowhere. `messages_monitor_address`: the same of the recorder of messages, where
    that is a process of its own.
    """

    lag_part_max: Annotated[float, Meta(ge=0.001, le=1)] = 0.5
    slice_minutes: Annotated[int, Meta(ge=0, le=525_600)] = 60
    messages_keep_hours: Annotated[int, Meta(ge=0, le=87_600)] = 168
    check_bytes_max: Annotated[int, Meta(ge=0, le=1 << 50)] = 4 << 30
    archive: bool = True
    rings: bool = True
    ring_size_bytes: Annotated[int, Meta(ge=64 << 10, le=1 << 30)] = 4 << 20
    monitor_address: AddressText | None = "tcp@127.0.0.1:7319"
    messages_monitor_address: AddressText | None = "tcp@127.0.0.1:7320"


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the recorder writes operation log and history: into the data directory, or into the databases of
    `mysql`. `time_zone`: whose days the tables of the operation log are; `local` = of the system. Into MySQL
    a slice is written every `slice_interval_s` (0: none) and kept for `slice_keep_s`, for the C system."""

    store: Literal["embedded", "mysql"] = "embedded"
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    slice_interval_s: Annotated[int, Meta(ge=0, le=365 * 86_400)] = 86_400
    slice_keep_s: Annotated[int, Meta(ge=0, le=100 * 365 * 86_400)] = 3 * 86_400


class MysqlSection(msgspec.Struct, frozen=True, kw_only=True):
    """The two databases of the C system."""

    log: MysqlSettings | None = None
    history: MysqlSettings | None = None


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages go: to these brokers; empty = into the data directory. `login`: who we are for them."""

    brokers: BrokersText = ""
    login: KafkaLogin | None = None


class RingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The books in shared memory, for gateways on the same host.

    `levels` price levels of each side; each market has `slots` slots of `slot_size_bytes`, and a book that
    does not fit into one is asked by RPC.
    """

    enabled: bool = True
    levels: Annotated[int, Meta(ge=1, le=10_000)] = 100
    slots: Annotated[int, Meta(ge=2, le=64)] = 8
    slot_size_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 24)] = 16 << 10


class AssetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[asset]]`: decimals kept and decimals shown (None: as many as are kept)."""

    name: str
    prec_save: int
    prec_show: int | None = None

    @property
    def rule(self) -> AssetRule:
        show = self.prec_save if self.prec_show is None else self.prec_show
        return AssetRule(self.name, self.prec_save, show)


class MarketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[market]]`: decimals of amounts, prices and fee rates; smallest amount, decimal text."""

    name: str
    stock: str
    stock_prec: int
    money: str
    money_prec: int
    fee_prec: int = 4
    min_amount: str = "0.01"

    @property
    def rule(self) -> MarketRule:
        return MarketRule(**msgspec.structs.asdict(self))


class MatchengineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the matchengine is told at start.

    `cache_timeout_s`: seconds a reply of order.depth may be repeated; 0 or less = no cache.
    `queue_age_max_ms`: a command that waited longer (while the process stood still) is refused with error 3
    instead of being executed late; 0 = executed however late. `slice_records`: journal records between two
    local slices. `repeat_age_s`, `key_age_s`, `keys_max`: how long balance updates and idempotency keys are
    remembered, and how many keys. `on_divergence`: whether new orders are refused (`halt`) or only an alarm
    goes out (`alarm`) when engine and recorder come to different states.
    """

    process: ProcessSettings = ProcessSettings(title="matchengine")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings()
    svr: ServerSettings = ServerSettings(bind=("tcp@127.0.0.1:7316", "udp@127.0.0.1:7316"))
    cli: ConsoleSettings = ConsoleSettings()
    wire_style: WireStyle = "plain"
    debug: bool = False
    cache_timeout_s: CacheSeconds = 0.0
    queue_age_max_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 500
    monitor: MonitorSettings = MonitorSettings()
    journal: JournalSettings = JournalSettings()
    recorder: RecorderSettings = RecorderSettings()
    history: HistorySettings = HistorySettings()
    mysql: MysqlSection = MysqlSection()
    kafka: KafkaSettings = KafkaSettings()
    rings: RingSettings = RingSettings()
    slice_records: Annotated[int, Meta(ge=1_000, le=1_000_000_000)] = 1_000_000
    on_divergence: OnDivergence = "halt"
    repeat_age_s: Seconds = 90 * 86_400
    key_age_s: Seconds = 86_400
    keys_max: Annotated[int, Meta(ge=1, le=100_000_000)] = 1_000_000
    asset: tuple[AssetSettings, ...] = ()
    market: tuple[MarketSettings, ...] = ()

    @property
    def has_two_recorders(self) -> bool:
        """Whether history and messages go to different stores, each with a recorder process of its own."""
        return self.history.store != "embedded" or bool(self.kafka.brokers)

    @property
    def zone_name(self) -> str:
        """The time zone of the day tables by its own name; the loader has already looked it up."""
        return resolve_zone(self.history.time_zone)

    @property
    def rules(self) -> Rules:
        """The rules this file proposes; the loader has already passed them through `check_rules`."""
        return Rules(
            assets=tuple(asset.rule for asset in self.asset),
            markets=tuple(market.rule for market in self.market),
            repeat_age_s=self.repeat_age_s,
            key_age_s=self.key_age_s,
            keys_max=self.keys_max,
        )


def load_settings(path: str | Path, embedded: bool) -> LoadedSettings[MatchengineSettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `embedded`: the operator said `--embedded`, so servers which the file names are not used, and he is
    warned.

    Raises: SettingsError with all problems of the file in words. Source: protocol.md 3.1, 10.3, 10.4.
    """
    file = SettingsFile(
        kind=MatchengineSettings,
        translate=settings_c.translate,
        check=functools.partial(_problems, embedded),
        toml_stores=TOML_STORES if embedded else {},
        c_stores=settings_c.C_STORES if embedded else {},
        c_names=settings_c.C_NAMES,
    )
    parsed = parse(file, path)
    outcome = decode_and_check(file, parsed)
    settings, problems = outcome.settings, outcome.problems
    if settings is not None and not problems and not parsed.is_c:
        problems = _open_address_problems(settings)
    if settings is None or problems:
        raise SettingsError(problems)
    if embedded:
        history = msgspec.structs.replace(settings.history, store="embedded")
        settings = msgspec.structs.replace(
            settings, history=history, mysql=MysqlSection(), kafka=KafkaSettings()
        )
    warnings = parsed.warnings + outcome.warnings + [stores.warning(store) for store in parsed.named]
    if not is_local(settings.cli.address):
        warnings.append(f"cli: {settings.cli.address} {CONSOLE_IS_OPEN}")
    return LoadedSettings(settings, warnings)


def _open_address_problems(settings: MatchengineSettings) -> list[str]:
    """Of our TOML only: whoever comes with a C file has such a console already, and is warned."""
    if not is_local(settings.cli.address):
        return [f"cli.address: {settings.cli.address} {CONSOLE_IS_OPEN}; use a loopback address"]
    monitors = {
        "monitor.address": settings.monitor.address,
        "recorder.monitor_address": settings.recorder.monitor_address,
        "recorder.messages_monitor_address": settings.recorder.messages_monitor_address,
    }
    return [
        f"{name}: {address} is not on this machine"
        for name, address in monitors.items()
        if not is_local(address)
    ]


def _problems(embedded: bool, settings: MatchengineSettings, names: Mapping[str, str]) -> list[str]:
    problems = server_problems("svr", settings.svr)
    console = names.get("cli.address", "cli.address")
    problems += address_problems(console, settings.cli.address, ("tcp", "stream"))
    problems += address_problems("monitor.address", settings.monitor.address, ("tcp", "stream"))
    for name in ("monitor_address", "messages_monitor_address"):
        address = getattr(settings.recorder, name)
        problems += address_problems(f"recorder.{name}", address, ("tcp", "stream"))
    problems += outgoing_problems(settings.alert, settings.log, names)
    problems += _record_problems(settings) + _ring_problems(settings.rings)
    problems += [] if embedded else _store_problems(settings, names)
    return problems + check_rules(settings.rules)


def _store_problems(settings: MatchengineSettings, names: Mapping[str, str]) -> list[str]:
    problems = brokers_problems(names.get("kafka.brokers", "kafka.brokers"), settings.kafka.brokers)
    problems += login_problems("kafka.login", settings.kafka.login)
    if names and not settings.kafka.brokers:
        problems.append(stores.missing("brokers"))  # the C system requires them
    databases = {"mysql.log": settings.mysql.log, "mysql.history": settings.mysql.history}
    for name, database in databases.items():
        if settings.history.store == "mysql" and database is None:
            problems.append(stores.missing(names.get(name, name)))
        elif settings.history.store != "mysql" and database is not None:
            problems.append(f"{name}: names {database}, but history.store says {settings.history.store}")
        if database is not None:
            problems += mysql_problems(name, database)
    try:
        open_zone(settings.zone_name)
    except UnknownZone as error:
        problems.append(f"history.time_zone: {error}")
    return problems


def _ring_problems(rings: RingSettings) -> list[str]:
    """A slot holds a full book of numbers up to 64 bits; larger numbers may still be too large for it."""
    needed = RING_HEAD_BYTES + 2 * rings.levels * RING_LEVEL_BYTES
    if needed <= rings.slot_size_bytes:
        return []
    return [
        f"rings.levels: {rings.levels} needs rings.slot_size_bytes of {needed} or more, but it is "
        f"{rings.slot_size_bytes}"
    ]


def _record_problems(settings: MatchengineSettings) -> list[str]:
    """A frame of the journal holds at least one record and is at most a quarter of a segment."""
    needed = 4 * (settings.svr.max_pkg_size + RECORD_OVERHEAD_BYTES_MAX)
    if needed <= settings.journal.segment_size_bytes:
        return []
    return [
        f"svr.max_pkg_size: {settings.svr.max_pkg_size} needs journal.segment_size_bytes of {needed} "
        f"or more, but it is {settings.journal.segment_size_bytes}"
    ]
