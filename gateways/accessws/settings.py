"""Settings of accessws: one frozen Struct, loaded once at start by every process of the gateway.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket, a directory or a file of secrets.

Source: protocol.md 9, 10.3, 10.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateways.accessws import settings_c
from gateways.accessws.push_settings import PushSettings, push_problems
from gateways.common.errors import WireStyle
from gateways.common.gateway import WORKERS_MAX
from gateways.common.market_snapshots import SnapshotSource
from gateways.common.settings import (
    OPEN_BIND_FLAG,
    AuthenticationSettings,
    BackendSettings,
    PathText,
    Words,
    authentication_problems,
    bind_problems,
    given_twice,
    is_loopback,
    network_problems,
    open_addresses,
    place_problems,
    tls_problems,
)
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.protocol.commands import Service
from vxutils.settings import AlertSettings, ProcessSettings, stores
from vxutils.settings.addresses import outgoing_problems
from vxutils.settings.loading import SettingsFile, load
from vxutils.settings.sections import Addresses, AddressText, SocketBufferBytes
from vxutils.store.kafka.settings import (
    BalancesTopic,
    ConsumerSettings,
    DealsTopic,
    OrdersTopic,
    topic_problems,
)

LISTENERS_MAX = 16
_TOKEN = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+")  # RFC 9110 5.6.2


class WebsocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one worker's websocket connections; whoever breaks one is told by a close code, and closed.

    Sizes in bytes, times in seconds. `protocol`: the subprotocol a client must name if it names any.
    `message_size_bytes_max`: of a request, joined and inflated. `message_timeout_s`: from its first byte to
    its last. `messages_per_s`, `messages_burst`: frames of one client in the long run and at once; 0 = any
    number. `keep_alive_s`: a connection may be silent this long; 0 = for ever. `ping_interval_s`: a silent
    client is asked whether it is there; 0 = never, and never in `viabtc` style. `unsent_size_bytes_max`: what
    a client has not read. `requests_in_flight_max`: its queries without an answer.
    `connections_per_address_max`: of one client address, in each worker; 0 = any number.
    """

    protocol: Annotated[str, Meta(min_length=1, max_length=64)] = "chat"
    compression: bool = True
    handshake_size_bytes_max: Annotated[int, Meta(ge=256, le=1 << 20)] = 16 * 1024
    handshake_timeout_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 10.0
    message_size_bytes_max: Annotated[int, Meta(ge=256, le=64 << 20)] = 100 * 1024
    message_timeout_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 30.0
    messages_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 100.0
    messages_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    keep_alive_s: Annotated[float, Meta(ge=0, le=10 * 365 * 86_400)] = 3_600.0
    ping_interval_s: Annotated[float, Meta(ge=0, le=3_600)] = 30.0
    close_timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 5.0
    unsent_size_bytes_max: Annotated[int, Meta(ge=65_536, le=1 << 32)] = 8 << 20
    requests_in_flight_max: Annotated[int, Meta(ge=1, le=100_000)] = 100
    connections_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    connections_per_address_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    read_mem: SocketBufferBytes = 0
    write_mem: SocketBufferBytes = 0


class WsListenerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Some addresses, and who may come in over them.

    With `allow_cidrs` a peer needs an address in one of them. `origins`: whose web pages may connect, empty =
    all; a whole origin, or a host for itself and the hosts below it. `tls_certificate` (with the chain) and
    `tls_key` are files in PEM; with them TLS is spoken, and nothing else. `trusted_proxies`: networks whose
    word on the address of a client is believed, see `vxutils.http.client_address`.
    """

    bind: Addresses
    allow_cidrs: Words = ()
    origins: Words = ()
    tls_certificate: PathText | None = None
    tls_key: PathText | None = None
    trusted_proxies: Words = ()


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the listener answers `GET /health` and `GET /metrics` for all processes; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:8091"


class AccesswsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gateway is told at start.

    `timeout_s`: how long a backend may take for one reply. `worker_num`: processes that serve connections.
    `cache_timeout_s`: how long the result of a market data query is repeated; 0 = not at all.
    `snapshot_source`: where depth and market prices come from, see `gateways.common.market_snapshots`.
    `orders`, `balances`, `deals`: messages come from these topics instead of the recorder beside us;
    `deals` without brokers is at those of `orders`, and whoever has no login takes that of `orders`.
    """

    process: ProcessSettings = ProcessSettings(title="accessws")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings()
    wire_style: WireStyle = "plain"
    timeout_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 1.0
    cache_timeout_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.5
    worker_num: Annotated[int, Meta(ge=1, le=WORKERS_MAX)] = 1
    snapshot_source: SnapshotSource = "auto"
    websocket: WebsocketSettings = WebsocketSettings()
    listener: Annotated[tuple[WsListenerSettings, ...], Meta(min_length=1, max_length=LISTENERS_MAX)] = (
        WsListenerSettings(bind=("tcp@127.0.0.1:8090",)),
    )
    authentication: AuthenticationSettings = AuthenticationSettings()
    orders: OrdersTopic = OrdersTopic()
    balances: BalancesTopic = BalancesTopic()
    deals: DealsTopic = DealsTopic()
    push: PushSettings = PushSettings()
    monitor: MonitorSettings = MonitorSettings()
    matchengine: BackendSettings = BackendSettings(address=("tcp@127.0.0.1:7316",))
    marketprice: BackendSettings = BackendSettings(
        address=("tcp@127.0.0.1:7416",), request_size_bytes_max=1_000_000
    )
    readhistory: BackendSettings = BackendSettings(
        address=("tcp@127.0.0.1:7424",), request_size_bytes_max=1_000_000
    )

    @property
    def topics(self) -> dict[str, ConsumerSettings] | None:
        """Where the messages of each topic are, by its usual name; None: at the recorder."""
        if not self.orders.brokers:
            return None
        topics: dict[str, ConsumerSettings] = {}
        for name, topic in (("orders", self.orders), ("balances", self.balances), ("deals", self.deals)):
            brokers, login = topic.brokers or self.orders.brokers, topic.login or self.orders.login
            topics[name] = msgspec.structs.replace(topic, brokers=brokers, login=login)
        return topics

    @property
    def backends(self) -> dict[Service, BackendSettings]:
        """The backends by the service they are."""
        return {
            Service.MATCHENGINE: self.matchengine,
            Service.MARKETPRICE: self.marketprice,
            Service.READHISTORY: self.readhistory,
        }


def load_settings(
    path: str | Path, allow_open_bind: bool = False, embedded: bool = False
) -> LoadedSettings[AccesswsSettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `allow_open_bind`: the operator said so, so an address that other machines reach may go without TLS and
    networks. `embedded`: he said so, so the topics which the file names are warned about and not used.

    Raises: SettingsError with all problems of the file in words.
    """
    file = SettingsFile(
        kind=AccesswsSettings,
        translate=settings_c.translate,
        check=lambda settings, names: _problems(settings, names, allow_open_bind, embedded),
        c_names=settings_c.C_NAMES,
    )
    settings, warnings = load(file, path, embedded)
    if embedded:
        warnings += [
            stores.warning(stores.NamedStore(name, "Kafka", topic.brokers))
            for name, topic in (("orders", settings.orders), ("balances", settings.balances))
            if topic.brokers
        ]
        own = {"orders": OrdersTopic(), "balances": BalancesTopic(), "deals": DealsTopic()}
        settings = msgspec.structs.replace(settings, **own)
    if allow_open_bind:
        warnings += [
            f"{text} can be reached from other machines by anybody ({OPEN_BIND_FLAG})"
            for text in _open_addresses(settings)
        ]
    return LoadedSettings(settings, warnings)


def _problems(
    settings: AccesswsSettings, names: Mapping[str, str], allow_open_bind: bool, embedded: bool
) -> list[str]:
    problems = [] if embedded else _topic_problems(settings, bool(names))
    for index, listener in enumerate(settings.listener):
        path = names.get("listener", f"listener[{index}]")
        problems += _listener_problems(path, listener, bool(names), allow_open_bind)
    problems += given_twice([listener.bind for listener in settings.listener])
    problems += place_problems(settings.monitor.address, settings.backends, names, allow_open_bind)
    if not _TOKEN.fullmatch(settings.websocket.protocol):
        path = names.get("websocket.protocol", "websocket.protocol")
        problems.append(f"{path}: {settings.websocket.protocol!r} has more than letters, digits and a dash")
    problems += authentication_problems(settings.authentication, names)
    problems += push_problems("push", settings.push)
    return problems + outgoing_problems(settings.alert, settings.log, names)


def _topic_problems(settings: AccesswsSettings, is_c: bool) -> list[str]:
    """The C system requires its two topics; user events all come from one place."""
    problems = [
        problem
        for name, topic in (
            ("orders", settings.orders), ("balances", settings.balances), ("deals", settings.deals)
        )
        for problem in topic_problems(name, topic)
    ]  # fmt: skip
    if problems:
        return problems
    missing = [
        name
        for name, topic in (("orders", settings.orders), ("balances", settings.balances))
        if not topic.brokers
    ]
    if is_c:
        return [stores.missing(name) for name in missing]
    if len(missing) == 1:
        return [f"{missing[0]}.brokers: missing; orders and balances both come from Kafka, or neither"]
    if missing and settings.deals.brokers:
        return ["deals.brokers: orders.brokers and balances.brokers are missing"]
    return []


def _listener_problems(
    path: str, listener: WsListenerSettings, is_c: bool, allow_open_bind: bool
) -> list[str]:
    """A `config.json` knows neither TLS nor networks, so only the flag opens its addresses."""
    addresses, problems = bind_problems(f"{path}.bind", listener.bind)
    problems += network_problems(f"{path}.allow_cidrs", listener.allow_cidrs)
    problems += network_problems(f"{path}.trusted_proxies", listener.trusted_proxies)
    problems += tls_problems(path, listener.tls_certificate, listener.tls_key)
    if listener.tls_certificate or listener.allow_cidrs or allow_open_bind:
        return problems
    remedy = (
        f"give {OPEN_BIND_FLAG} if a firewall or a proxy stands before it, or write a TOML file"
        if is_c
        else f"set {path}.tls_certificate or {path}.allow_cidrs, bind 127.0.0.1, or give {OPEN_BIND_FLAG}"
    )
    return problems + [
        f"{path}.bind: {address} can be reached from other machines, and logins would travel unencrypted; "
        f"{remedy}"
        for address in addresses
        if not is_loopback(address)
    ]


def _open_addresses(settings: AccesswsSettings) -> list[str]:
    texts = [
        text
        for listener in settings.listener
        if not (listener.tls_certificate or listener.allow_cidrs)
        for text in listener.bind
    ]
    return open_addresses([*texts, settings.monitor.address])
