"""The settings that `vx up` gives to a process: the operator's file with other ports and a log file.

    FILE, or nothing --> every port + N, log to a file, what neighbours imply --> text to be written

Only the settings changed here are looked at, and only where they have the form they should have; everything
else is passed on as it is, for the process itself to judge. Nothing is written to disk from here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.cli.kept_ports import KeptPorts
from gateways.cli.programs import (
    ACCESSHTTP,
    ACCESSWS,
    ALERTCENTER,
    ENGINE,
    MARKETPRICE,
    READHISTORY,
    Program,
    packaged_settings,
)
from gateways.cli.toml_text import toml_text
from vxnet.address import parse_address
from vxnet.errors import AddressError
from vxutils.exits import ExitCode, ProcessExit
from vxutils.settings import SettingsError, is_c_config, parse_c_json, parse_toml, read_text

Table = dict[str, Any]
Setting = tuple[str, ...]

PORT_MAX: Final = 65535

LISTENING: Final = ("svr", "listener", "monitor", "cli", "recorder")
"""Sections, and the console of the C engine, in which a process says where it listens."""

LOG: Final = ("log", "path")
ALERT: Final = ("alert", "address")
C_ALERT: Final = ("alert", "addr")


class Shape(msgspec.Struct, frozen=True):
    """Where a program's settings hold addresses, its own and those of its neighbours, which are moved alike.

    `toml` are filled in from the packaged file when they are left out; `c` are those of a `config.json`.
    """

    toml: tuple[Setting, ...]
    c: tuple[Setting, ...]


_SERVER: Final = Shape(toml=(("svr", "bind"), ("monitor", "address")), c=(("svr", "bind"),))

_GATEWAY: Final = Shape(
    toml=(
        ("listener", "bind"),
        ("monitor", "address"),
        ("matchengine", "address"),
        ("marketprice", "address"),
        ("readhistory", "address"),
    ),
    c=(
        ("svr", "bind"),
        ("monitor", "bind"),
        ("matchengine", "addr"),
        ("marketprice", "addr"),
        ("readhistory", "addr"),
    ),
)

SHAPES: Final[Mapping[Program, Shape]] = {
    ALERTCENTER: _SERVER,
    READHISTORY: _SERVER,
    MARKETPRICE: Shape(toml=(*_SERVER.toml, ("market_source",)), c=_SERVER.c),
    ENGINE: Shape(
        toml=(
            ("svr", "bind"),
            ("cli", "address"),
            ("monitor", "address"),
            ("recorder", "monitor_address"),
            ("recorder", "messages_monitor_address"),
        ),
        c=(("svr", "bind"), ("cli",)),
    ),
    ACCESSHTTP: _GATEWAY,
    ACCESSWS: _GATEWAY,
}


class EffectiveSettings(msgspec.Struct, frozen=True):
    """`text` of the settings file, of the C system's kind if `is_c`; `log_path` where the process will log (a
    path without `.log`, as in the file); `warnings` in words about what does not show in the text any more;
    `table` is what the text says."""

    text: str
    is_c: bool
    log_path: str
    warnings: list[str]
    table: Table


def effective_settings(
    program: Program,
    path: Path | None,
    port_offset: int,
    log_path: Path,
    implied: Mapping[Setting, object] | None = None,
    alert_address: str = "",
    ports: KeptPorts | None = None,
) -> EffectiveSettings:
    """The settings in `path` (None: the defaults) with `port_offset` added to each port, the log in
    `log_path` and alerts to `alert_address` (`ip:port`; empty: the usual one, its port moved too).

    Port 0 (any free port) stays 0, unless `ports` has others for where the process listens. Addresses which a
    TOML file leaves out are those of the packaged file. A log or alerts that the file sends somewhere else
    than usual stay there; `log_path` is without its ending. `implied` settings follow from another process:
    they stand in for what a TOML file leaves out, and are taken as they are.

    Raises: ProcessExit (CONFIG for a file that can not be read, USAGE for a port out of range).
    """
    shape, implied = SHAPES[program], implied or {}
    defaults_path = packaged_settings(program)
    warnings: list[str] = []
    try:
        text = read_text(path or defaults_path)
        is_c = is_c_config(text)
        if is_c:
            table, warnings = parse_c_json(text)
        else:
            table = parse_toml(text)
            defaults = parse_toml(read_text(defaults_path))
    except SettingsError as error:
        listed = "\n  ".join(error.problems)
        raise ProcessExit(ExitCode.CONFIG, f"{path or defaults_path} can not be used:\n  {listed}") from None
    if not is_c:
        for setting in implied if path is None else ():
            _remove(table, setting)
        for setting in (*shape.toml, LOG, ALERT):
            if setting not in implied:
                _fill(table, defaults, setting)
    for setting in shape.c if is_c else shape.toml:
        _change(table, setting, lambda given: _moved(given, port_offset))
    if ports is not None:
        ports.begin()
        for setting in shape.c if is_c else shape.toml:
            if setting[0] in LISTENING:
                _change(table, setting, ports.fill)
    _change(table, LOG, lambda given: given if given != "" else str(log_path))
    usual = "" if is_c else defaults[ALERT[0]][ALERT[1]]
    _change(
        table,
        C_ALERT if is_c else ALERT,
        lambda given: _alerts(given, usual, port_offset, alert_address) if given in ("", usual) else given,
    )
    if is_c:
        text = json.dumps(table, indent=4) + "\n"
    else:
        for setting, value in implied.items():
            _set_default(table, setting, value)
        name = path.name if path is not None else "the defaults"
        text = f"# Written by `vx up` at each start, from {name}.\n{toml_text(table)}"
    return EffectiveSettings(text, is_c, _log_path(table), warnings, table)


def _alerts(given: str, usual: str, offset: int, alert_address: str) -> str:
    """Where alerts go that are sent nowhere or to the usual place."""
    if alert_address or given != usual or not usual:
        return alert_address
    return _moved_text(f"udp@{usual}", offset).removeprefix("udp@")


def _moved(given: Any, offset: int) -> Any:
    if isinstance(given, list):
        return [_moved(item, offset) for item in given]
    return _moved_text(given, offset) if isinstance(given, str) else given


def _moved_text(text: str, offset: int) -> str:
    try:
        address = parse_address(text)
    except AddressError:
        return text  # the process refuses it in its own words
    if address.is_unix or address.port == 0:
        return text
    port = address.port + offset
    if not 0 < port <= PORT_MAX:
        raise ProcessExit(
            ExitCode.USAGE, f"--port-offset {offset} makes port {port} of {text}; a port is 1 to {PORT_MAX}"
        )
    return str(msgspec.structs.replace(address, port=port))


def _change(inside: Any, setting: Setting, change: Callable[[Any], Any]) -> None:
    """Replaces the value of a setting that is there, in each table of a list of tables."""
    if isinstance(inside, list):
        for item in inside:
            _change(item, setting, change)
        return
    name, *rest = setting
    if not isinstance(inside, dict) or name not in inside:
        return
    if rest:
        _change(inside[name], tuple(rest), change)
    else:
        inside[name] = change(inside[name])


def _fill(table: Table, defaults: Table, setting: Setting) -> None:
    """Gives a setting that is left out its default; a list of tables is left out as a whole or not at all."""
    section, *rest = setting
    if not isinstance(defaults[section], dict):
        table.setdefault(section, defaults[section])
        return
    (name,) = rest
    _set_default(table, setting, defaults[section][name])


def _remove(table: Table, setting: Setting) -> None:
    *sections, name = setting
    for section in sections:
        table = table.get(section, {})
    table.pop(name, None)


def _set_default(table: Table, setting: Setting, value: object) -> None:
    *sections, name = setting
    inside: Any = table
    for section in sections:
        inside = inside.setdefault(section, {}) if isinstance(inside, dict) else None
    if isinstance(inside, dict):
        inside.setdefault(name, value)


def _log_path(table: Table) -> str:
    section = table.get(LOG[0])
    path = section.get(LOG[1]) if isinstance(section, dict) else ""
    return path if isinstance(path, str) else ""
