"""The settings that `vx up` gives to a process: the operator's file with other ports and a log file.

    FILE, or the default of the package --> every listening port + N, log to a file --> text to be written

Only the settings changed here are looked at, and only where they have the form they should have; everything
else is passed on as it is, for the process itself to judge. Nothing is written to disk from here.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.cli.toml_text import toml_text
from vxnet.address import parse_address
from vxnet.errors import AddressError
from vxutils.exits import ExitCode, ProcessExit
from vxutils.settings import SettingsError, is_c_config, parse_c_json, parse_toml, read_text

Table = dict[str, Any]

DEFAULT_FILE: Final = "default.toml"
PORT_MAX: Final = 65535

BIND: Final = ("svr", "bind")
CONSOLE: Final = ("cli", "address")
CONSOLE_OF_C: Final = ("cli",)
LOG: Final = ("log", "path")


class EffectiveSettings(msgspec.Struct, frozen=True):
    """`text` of the settings file; `log_path` where the process will log (a path without `.log`, as in the
    file); `warnings` in words about what does not show in the text any more."""

    text: str
    log_path: str
    warnings: list[str]


def packaged_settings(package: str) -> Path:
    """The default settings file inside an installed package, which is not imported for it.

    Raises: ProcessExit (CONFIG) if it is not there.
    """
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / DEFAULT_FILE
        if path.is_file():
            return path
    raise ProcessExit(ExitCode.CONFIG, f"{package}/{DEFAULT_FILE} is missing: the installation is not whole")


def effective_settings(path: Path, defaults: Path, port_offset: int, log_path: Path) -> EffectiveSettings:
    """The settings in `path` with `port_offset` added to each listening port, and the log in `log_path`.

    Port 0 (any free port) stays 0. Addresses which a TOML file leaves out are those of the file `defaults`.
    A log that the file sends somewhere stays there; `log_path` is without its ending.

    Raises: ProcessExit (CONFIG for a file that can not be read, USAGE for a port out of range).
    """
    try:
        text = read_text(path)
        if is_c_config(text):
            table, warnings = parse_c_json(text)
            _shift_ports(table, CONSOLE_OF_C, port_offset)
            _change(table, LOG, lambda given: given if given != "" else str(log_path))
            return EffectiveSettings(json.dumps(table, indent=4) + "\n", _log_path(table), warnings)
        table, default_table = parse_toml(text), parse_toml(read_text(defaults))
    except SettingsError as error:
        listed = "\n  ".join(error.problems)
        raise ProcessExit(ExitCode.CONFIG, f"{path} can not be used:\n  {listed}") from None
    for setting in (BIND, CONSOLE, LOG):
        _fill(table, default_table, setting)
    _shift_ports(table, CONSOLE, port_offset)
    _change(table, LOG, lambda given: given if given != "" else str(log_path))
    text = f"# Written by `vx up` at each start, from {path.name}.\n{toml_text(table)}"
    return EffectiveSettings(text, _log_path(table), [])


def _shift_ports(table: Table, console: tuple[str, ...], offset: int) -> None:
    def shift(given: Any) -> Any:
        if isinstance(given, list):
            return [shift(item) for item in given]
        return _shifted(given, offset) if isinstance(given, str) else given

    _change(table, BIND, shift)
    _change(table, console, shift)


def _shifted(text: str, offset: int) -> str:
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


def _change(table: Table, setting: tuple[str, ...], change: Callable[[Any], Any]) -> None:
    """Replaces the value of a setting that is there."""
    *sections, name = setting
    inside: Any = table
    for section in sections:
        inside = inside.get(section) if isinstance(inside, dict) else None
    if isinstance(inside, dict) and name in inside:
        inside[name] = change(inside[name])


def _fill(table: Table, defaults: Table, setting: tuple[str, str]) -> None:
    """Gives a setting that is left out its default."""
    section, name = setting
    inside = table.setdefault(section, {})
    if isinstance(inside, dict):
        inside.setdefault(name, defaults[section][name])


def _log_path(table: Table) -> str:
    section = table.get(LOG[0])
    path = section.get(LOG[1]) if isinstance(section, dict) else ""
    return path if isinstance(path, str) else ""
