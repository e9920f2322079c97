"""Settings of readhistory: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket or a file other than the settings.

Source: protocol.md 7.1, 10.3, 10.4.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateways.readhistory import settings_c
from gateways.readhistory.replies import WireStyle
from vxutils.entry import LoadedSettings
from vxutils.log import LogSettings
from vxutils.settings import AlertSettings, ProcessSettings, ServerSettings, stores
from vxutils.settings.addresses import loopback_problems, outgoing_problems, server_problems
from vxutils.settings.loading import SettingsFile, load
from vxutils.settings.sections import AddressText
from vxutils.store.mysql.settings import MysqlSettings, mysql_problems

WORKERS_MAX = 100

TOML_STORES = {"mysql": "MySQL"}
"""The section that names a server; with `--embedded` it is warned about and not used."""


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `GET /health` and `GET /metrics` are answered; None = nowhere."""

    address: AddressText | None = "tcp@127.0.0.1:7425"


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the history is: in the data directory, or in the database `mysql.history`."""

    store: Literal["embedded", "mysql"] = "embedded"


class MysqlSection(msgspec.Struct, frozen=True, kw_only=True):
    """The databases; readhistory needs one."""

    history: MysqlSettings | None = None


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
    history: HistorySettings = HistorySettings()
    mysql: MysqlSection = MysqlSection()
    wire_style: WireStyle = "plain"
    debug: bool = False
    worker_num: Annotated[int, Meta(ge=1, le=WORKERS_MAX)] = 10
    query_timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0


def load_settings(path: Path, embedded: bool) -> LoadedSettings[ReadhistorySettings]:
    """The settings in the file at `path`: our TOML, or a `config.json` of the C system.

    `embedded`: the operator said `--embedded`, so the history in the data directory is read, whatever server
    the file names.

    Raises: SettingsError with all problems of the file in words.
    """
    file = SettingsFile(
        kind=ReadhistorySettings,
        translate=settings_c.translate,
        check=functools.partial(_problems, embedded),
        toml_stores=TOML_STORES if embedded else {},
        c_stores=settings_c.C_STORES if embedded else {},
        c_names=settings_c.C_NAMES,
    )
    settings, warnings = load(file, path, embedded)
    if embedded:
        settings = msgspec.structs.replace(settings, history=HistorySettings())
    return LoadedSettings(settings, warnings)


def _problems(embedded: bool, settings: ReadhistorySettings, names: Mapping[str, str]) -> list[str]:
    problems = server_problems("svr", settings.svr)
    if settings.history.store == "mysql" and settings.mysql.history is None and not embedded:
        problems.append(stores.missing(names.get("mysql.history", "mysql.history")))
    if settings.mysql.history is not None and not embedded:
        problems += mysql_problems("mysql.history", settings.mysql.history)
    problems += outgoing_problems(settings.alert, settings.log, names)
    return problems + loopback_problems("monitor.address", settings.monitor.address)
