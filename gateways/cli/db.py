"""`vx db init|check|migrate`: the tables of the MySQL databases that a settings file names.

The file is that of the engine (both databases) or of readhistory (the history), our TOML or a `config.json`.
Only its sections of databases are looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.cli.output import complain, show
from vxutils.exits import ExitCode, ProcessExit
from vxutils.settings import SettingsError, is_c_config, parse_c_json, parse_toml, read_text
from vxutils.settings.c_sections import CMysql, mysql_table
from vxutils.store.mysql import schema
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import Kind

TEXT: Final = "Make, check or widen the tables of the MySQL databases that a settings file names."
DIFFERENCES_SHOWN: Final = 50

_Step = Callable[[Kind, MysqlSettings], bool]


def init(options: argparse.Namespace) -> int:
    """`vx db init`. Raises: ProcessExit."""

    def step(kind: Kind, settings: MysqlSettings) -> bool:
        schema.create(settings, kind, show)
        return True

    return _each(options, step)


def check(options: argparse.Namespace) -> int:
    """`vx db check`; FAILURE if rows would be refused. Raises: ProcessExit."""

    def step(kind: Kind, settings: MysqlSettings) -> bool:
        differences = _with_database(settings, lambda database: schema.check(database, kind))
        for difference in differences[:DIFFERENCES_SHOWN]:
            (complain if difference.is_fatal else show)(f"vx: {difference}")
        if len(differences) > DIFFERENCES_SHOWN:
            complain(f"vx: and {len(differences) - DIFFERENCES_SHOWN} more")
        is_fine = not any(difference.is_fatal for difference in differences)
        show(f"{settings}: {'the tables are as they should be' if is_fine else 'can not be written to'}")
        return is_fine

    return _each(options, step)


def migrate(options: argparse.Namespace) -> int:
    """`vx db migrate`. Raises: ProcessExit."""

    def step(kind: Kind, settings: MysqlSettings) -> bool:
        changed = _with_database(settings, lambda database: schema.migrate(database, kind, show))
        show(f"{settings}: {changed} tables widened")
        return True

    return _each(options, step)


ACTIONS: Final = (
    ("init", init, "Make the databases and tables that are missing; what is there is left alone."),
    ("check", check, "Say in what the tables differ from those of the C system; exit code 1 if that is bad."),
    ("migrate", migrate, "Widen every decimal to DECIMAL(65,30); each table is written anew, locked."),
)


def _each(options: argparse.Namespace, step: _Step) -> int:
    path: Path = options.config
    try:
        results = [step(kind, settings) for kind, settings in _databases(path)]
    except SettingsError as error:
        raise ProcessExit(ExitCode.CONFIG, f"{path} can not be used: {'; '.join(error.problems)}") from None
    except MysqlError as error:
        raise ProcessExit(ExitCode.FAILURE, str(error)) from None
    return ExitCode.OK if all(results) else ExitCode.FAILURE


def _with_database(settings: MysqlSettings, ask: Callable[[Database], Any]) -> Any:
    database = Database(settings)
    try:
        return ask(database)
    finally:
        database.close()


def _databases(path: Path) -> list[tuple[Kind, MysqlSettings]]:
    """The databases that the file names. Raises: SettingsError."""
    text = read_text(path)
    kinds: tuple[Kind, Kind] = ("log", "history")
    if is_c_config(text):
        table, names = parse_c_json(text)[0], {kind: f"db_{kind}" for kind in kinds}
        sections: dict[str, Any] = table
    else:
        mysql = parse_toml(text).get("mysql", {})
        names = {kind: f"mysql.{kind}" for kind in kinds}
        sections = {f"mysql.{name}": value for name, value in dict(mysql).items()}
    found: list[tuple[Kind, MysqlSettings]] = []
    for kind in kinds:
        section = sections.get(names[kind])
        if section is None:
            continue
        try:
            if is_c_config(text):
                section = mysql_table(msgspec.convert(section, CMysql))
            found.append((kind, msgspec.convert(section, MysqlSettings)))
        except msgspec.ValidationError as error:
            raise SettingsError([f"{names[kind]}: {error}"]) from None
    if not found:
        raise SettingsError([f"names no database: neither {names['log']} nor {names['history']}"])
    return found
