"""`vx config check`: whether a settings file of any process can be used, with everything that is wrong in it.

The settings module of that process judges; it is loaded by name and is the only thing of a service that is
ever loaded here. Nothing is started, and no data directory is looked at: whether the assets and markets are
those in force is what `vx config diff` says.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any, Final

from gateways.cli.output import complain, show
from gateways.cli.programs import (
    ACCESSHTTP,
    ACCESSWS,
    ALERTCENTER,
    CONFIGURED,
    ENGINE,
    MARKETPRICE,
    READHISTORY,
    Program,
)
from vxutils.exits import ExitCode, ProcessExit
from vxutils.settings import SettingsError, is_c_config, parse_c_json, parse_toml, read_text

_ONLY_THERE: Final = (
    (ACCESSWS, ("websocket", "push", "authentication", "auth_url", "sign_url", "depth_limit")),
    (ACCESSHTTP, ("listener", "http", "matchengine", "marketprice", "readhistory")),
    (MARKETPRICE, ("market_source", "time_zone", "sec_max", "min_max", "hour_max", "accesshttp", "deals")),
    (ENGINE, ("asset", "market", "assets", "markets", "journal", "recorder", "cli", "slice_interval")),
    (READHISTORY, ("query_timeout_s", "db_history")),
    (ALERTCENTER, ("smtp", "webhook", "command", "store", "interval_s", "redis")),
)
"""What a file is known by, looked for in this order: the engine of the C system has a `db_history` too, its
marketprice a `redis`."""


def config_check(options: argparse.Namespace) -> int:
    """`vx config check`; FAILURE never: a file is fine, or it is refused with CONFIG.

    Raises: ProcessExit (CONFIG with all problems; USAGE if it is not clear whose file it is).
    """
    path: Path = options.config
    try:
        program = _named(options.process) if options.process else _recognised(path)
        settings = importlib.import_module(f"{program.package}.settings")
        flags = {
            ACCESSHTTP: (options.allow_open_bind,),
            ACCESSWS: (options.allow_open_bind, options.embedded),
        }
        loaded = settings.load_settings(path, *flags.get(program, (options.embedded,)))
    except SettingsError as error:
        listed = "\n  ".join(error.problems)
        raise ProcessExit(ExitCode.CONFIG, f"{path} can not be used:\n  {listed}") from None
    for warning in loaded.warnings:
        complain(f"vx: {path}: {warning}")
    show(f"{path} can be used by {program.name}")
    return ExitCode.OK


def _named(name: str) -> Program:
    return next(program for program in CONFIGURED if program.name == name)


def _recognised(path: Path) -> Program:
    """Whose file it is, by its name or by what it holds. Raises: SettingsError, ProcessExit."""
    named = [program for program in CONFIGURED if path.name.startswith(program.name)]
    if len(named) == 1:
        return named[0]
    text = read_text(path)
    table: dict[str, Any] = parse_c_json(text)[0] if is_c_config(text) else parse_toml(text)
    for program, sections in _ONLY_THERE:
        if any(section in table for section in sections):
            return program
    names = " or ".join(program.name for program in CONFIGURED)
    raise ProcessExit(
        ExitCode.USAGE, f"it can not be seen for which process {path} is: name it with --process {names}"
    )
