"""Beside which databases an engine may start, where its history goes to MySQL: beside its own.

    first start   new ones as well. Whoever names databases with balances and orders of a running exchange
                  expects to find them again; an empty journal beside them would look like success
    later ones    not beside those whose exchange goes on elsewhere: handed over to the C system, or taken
                  over from there by another system. A copy or a backup of a directory does not know that

Reads only. A database that does not answer stops a first start, because nobody can tell then; a later one
goes on without it, and the recorder looks again before it writes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from matchengine.settings import MatchengineSettings
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError
from vxutils.store.mysql.position import holds_rows, read_handed_over, read_position
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import Kind

OWNER_TIMEOUT_S: Final = 2.0


def demand_new_database(settings: MatchengineSettings, system_id: str) -> None:
    """For a journal without records. Raises: ProcessExit in words."""
    if settings.history.store != "mysql":
        return
    assert settings.mysql.log is not None, "the settings were checked"
    assert settings.mysql.history is not None, "the settings were checked"
    try:
        _demand_new(settings.mysql.log, "log", system_id)
        _demand_new(settings.mysql.history, "history", system_id)
    except MysqlError as error:
        raise ProcessExit(
            ExitCode.CONFIG,
            f"a new exchange begins with its databases, and whether they are new can not be seen: {error}",
        ) from error


def demand_own_database(settings: MatchengineSettings, system_id: str) -> None:
    """For a journal with records. Waits OWNER_TIMEOUT_S at most. Raises: ProcessExit in words."""
    if settings.history.store != "mysql":
        return
    assert settings.mysql.log is not None, "the settings were checked"
    log = settings.mysql.log
    timeouts = {name: min(getattr(log, name), OWNER_TIMEOUT_S) for name in ("connect_timeout_s", "timeout_s")}
    database = Database(msgspec.structs.replace(log, **timeouts))
    try:
        stored = read_position(database, "log")
        given_away = read_handed_over(database)
    except MysqlError:
        return
    finally:
        database.close()
    if given_away is not None:
        raise ProcessExit(
            ExitCode.CONFIG,
            f"{database} {given_away}: take the exchange back with `vx adopt --config`, into a new directory",
        )
    if stored is not None and stored.system_id != system_id:
        raise ProcessExit(
            ExitCode.CONFIG,
            f"{database} belongs to system {stored.system_id}, this data directory is system {system_id}",
        )


def _demand_new(settings: MysqlSettings, kind: Kind, system_id: str) -> None:
    database = Database(settings)
    try:
        stored = read_position(database, kind)
        if stored is not None and stored.system_id == system_id and stored.position.sequence:
            raise ProcessExit(
                ExitCode.JOURNAL_DAMAGED,
                f"{database} has come to sequence {stored.position.sequence} of this system, whose journal "
                "here is empty: put the journal back; is its disk mounted?",
            )
        if stored is not None and stored.system_id != system_id:
            raise ProcessExit(
                ExitCode.CONFIG,
                f"{database} belongs to system {stored.system_id}, this data directory is system {system_id}",
            )
        if stored is None and holds_rows(database, kind):
            raise ProcessExit(
                ExitCode.CONFIG,
                f"{database} holds the exchange of somebody else, and this data directory is empty: a new "
                "exchange can not begin beside it. Name new databases, or take it over: `vx adopt --config`",
            )
    finally:
        database.close()
