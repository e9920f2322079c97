"""Settings of readhistory: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket or a file other than the settings.

Source: protocol.md 7.1, 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateways.readhistory import settings_c
from gateways.readhistory.replies import WireStyle
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.settings import AlertSettings, ProcessSettings, ServerSettings
from vxutils.settings.addresses import loopback_problems, outgoing_problems, server_problems
from vxutils.settings.loading import SettingsFile, load
from vxutils.settings.sections import AddressText

WORKERS_MAX = 100

# What an operator may call a server in TOML; no such setting exists, so the plain refusal of an unknown name
# would hide why.
TOML_STORES = {"db_history": "MySQL", "mysql": "MySQL"}


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `GET /health` and `GET /metrics` are answered; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:7425"


class ReadhistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything readhistory is told at start.

    `worker_num`: threads, each with its own connection to the store; 10 times as many queries may wait.
    `query_timeout_s`: seconds after which a query is given up.
    """

    process: ProcessSettings = ProcessSettings(title="readhistory")
    log: LogSettings = LogSettings()
    alert: AlertSettings = AlertSettings()
    svr: ServerSettings = ServerSettings(
        bind=("tcp@127.0.0.1:7424", "udp@127.0.0.1:7424"), max_pkg_size=1_000_000
    )
    monitor: MonitorSettings = MonitorSettings()
    wire_style: WireStyle = "plain"
    debug: bool = False
    worker_num: Annotated[int, Meta(ge=1, le=WORKERS_MAX)] = 10
    query_timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0


def load_settings(path: Path, embedded: bool) -> LoadedSettings[ReadhistorySettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `embedded`: the operator said `--embedded`, so a server which the file names and this version cannot use
    is warned about instead of refused.

    Raises: SettingsError with all problems of the file in words.
    """
    file = SettingsFile(
        kind=ReadhistorySettings,
        translate=settings_c.translate,
        check=_problems,
        toml_stores=TOML_STORES,
        c_stores=settings_c.C_STORES,
        c_names=settings_c.C_NAMES,
    )
    return LoadedSettings(*load(file, path, embedded))


def _problems(settings: ReadhistorySettings, names: Mapping[str, str]) -> list[str]:
    problems = server_problems("svr", settings.svr)
    problems += outgoing_problems(settings.alert, settings.log, names)
    return problems + loopback_problems("monitor.address", settings.monitor.address)
