"""Settings of accesshttp: one frozen Struct, loaded once at start by every process of the gateway.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket, a directory or a token file.

Source: protocol.md 8, 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateways.accesshttp import settings_c
from gateways.common.errors import WireStyle
from gateways.common.gateway import WORKERS_MAX
from gateways.common.market_snapshots import SnapshotSource
from gateways.common.settings import (
    OPEN_BIND_FLAG,
    BackendSettings,
    ListenerSettings,
    given_twice,
    is_loopback,
    listener_problems,
    open_addresses,
    place_problems,
)
from vxnet.address import parse_address
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.protocol.commands import Service
from vxutils.settings import AlertSettings, ProcessSettings
from vxutils.settings.addresses import outgoing_problems
from vxutils.settings.loading import SettingsFile, load
from vxutils.settings.sections import AddressText, SocketBufferBytes

LISTENERS_MAX = 16


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one worker's HTTP connections; whoever breaks one is answered if possible, and closed.

    Sizes in bytes, times in seconds. `head_timeout_s` runs from the first byte of a request to the end of its
    head, `body_timeout_s` from there to the end of its body. `keep_alive_s`: how long a connection may be
    idle; 0 = for ever. `pipeline_max`: requests of one connection without an answer; more wait unread.
    `unsent_size_bytes_max`: answers a client does not read.
    """

    head_size_bytes_max: Annotated[int, Meta(ge=256, le=1 << 20)] = 80 * 1024
    body_size_bytes_max: Annotated[int, Meta(ge=256, le=64 << 20)] = 128 * 1024
    head_timeout_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 10.0
    body_timeout_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 30.0
    keep_alive_s: Annotated[float, Meta(ge=0, le=10 * 365 * 86_400)] = 75.0
    pipeline_max: Annotated[int, Meta(ge=1, le=10_000)] = 64
    connections_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    unsent_size_bytes_max: Annotated[int, Meta(ge=65_536, le=1 << 32)] = 8 << 20
    read_mem: SocketBufferBytes = 0
    write_mem: SocketBufferBytes = 0


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the listener answers `GET /health` and `GET /metrics` for all processes; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:8081"


class AccesshttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gateway is told at start.

    `timeout_s`: how long a backend may take for one reply. `worker_num`: processes that serve connections.
    `snapshot_source`: what answers order.depth and market prices, see `gateways.common.market_snapshots`.
    """

    process: ProcessSettings = ProcessSettings(title="accesshttp")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings()
    wire_style: WireStyle = "plain"
    timeout_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 1.0
    worker_num: Annotated[int, Meta(ge=1, le=WORKERS_MAX)] = 1
    snapshot_source: SnapshotSource = "auto"
    http: HttpSettings = HttpSettings()
    listener: Annotated[tuple[ListenerSettings, ...], Meta(min_length=1, max_length=LISTENERS_MAX)] = (
        ListenerSettings(bind=("tcp@127.0.0.1:8080",)),
    )
    monitor: MonitorSettings = MonitorSettings()
    matchengine: BackendSettings = BackendSettings(address=("tcp@127.0.0.1:7316",))
    marketprice: BackendSettings = BackendSettings(
        address=("tcp@127.0.0.1:7416",), request_size_bytes_max=1_000_000
    )
    readhistory: BackendSettings = BackendSettings(
        address=("tcp@127.0.0.1:7424",), request_size_bytes_max=1_000_000
    )

    @property
    def backends(self) -> dict[Service, BackendSettings]:
        """The backends by the service they are."""
        return {
            Service.MATCHENGINE: self.matchengine,
            Service.MARKETPRICE: self.marketprice,
            Service.READHISTORY: self.readhistory,
        }


def load_settings(path: str | Path, allow_open_bind: bool = False) -> LoadedSettings[AccesshttpSettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `allow_open_bind`: the operator said so, so an address that other machines reach may go without token and
    networks.

    Raises: SettingsError with all problems of the file in words.
    """
    file = SettingsFile(
        kind=AccesshttpSettings,
        translate=settings_c.translate,
        check=lambda settings, names: _problems(settings, names, allow_open_bind),
        c_names=settings_c.C_NAMES,
    )
    settings, warnings = load(file, path, embedded=False)
    if allow_open_bind:
        warnings += [
            f"{text} can be reached from other machines by anybody ({OPEN_BIND_FLAG})"
            for text in _open_addresses(settings)
        ]
    return LoadedSettings(settings, warnings)


def _problems(settings: AccesshttpSettings, names: Mapping[str, str], allow_open_bind: bool) -> list[str]:
    problems: list[str] = []
    if names:
        problems += _c_listener_problems(settings.listener[0], allow_open_bind)
    else:
        for index, listener in enumerate(settings.listener):
            problems += listener_problems(f"listener[{index}]", listener, allow_open_bind)
        problems += given_twice([listener.bind for listener in settings.listener])
    problems += place_problems(settings.monitor.address, settings.backends, names, allow_open_bind)
    return problems + outgoing_problems(settings.alert, settings.log, names)


def _c_listener_problems(listener: ListenerSettings, allow_open_bind: bool) -> list[str]:
    """A `config.json` can not say who may come in, so only the flag opens its addresses."""
    problems = listener_problems("svr", listener, allow_open_bind=True)
    if problems or allow_open_bind:
        return problems
    return [
        f"svr.bind: {text} can be reached from other machines by anybody, and a config.json can not say who "
        f"may; give {OPEN_BIND_FLAG} if a firewall does, or write a TOML file with tokens or networks"
        for text in listener.bind
        if not is_loopback(parse_address(text))
    ]


def _open_addresses(settings: AccesshttpSettings) -> list[str]:
    texts = [
        text
        for listener in settings.listener
        if not (listener.token or listener.allow_cidrs)
        for text in listener.bind
    ]
    return open_addresses([*texts, settings.monitor.address])
