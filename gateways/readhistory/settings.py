"""Settings of readhistory: one frozen Struct, loaded once at start, passed down in parts.

The fields carry the names of the TOML file, their bounds and their units; a C `config.json` gives the same
Struct through `settings_c`. Nothing here opens a socket or a file other than the settings.

Source: protocol.md 7.1, 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateways.readhistory import settings_c
from gateways.readhistory.replies import WireStyle
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
) -> tuple[ReadhistorySettings | None, list[str]]:
    """The settings (None when they cannot even be decoded), and their problems in words."""
    decoded = decode(ReadhistorySettings, table, names=names)
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
    return settings, problems + wrong
