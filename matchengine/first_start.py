"""The first start of a new exchange whose history goes to MySQL: only beside databases that are new as well.

Whoever names databases with balances and orders of a running exchange expects to find them again; an empty
journal beside them would look like success. Reads only; a database that does not answer stops the start too,
because nobody can tell then.
"""

from __future__ import annotations

from matchengine.settings import MatchengineSettings
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError
from vxutils.store.mysql.position import holds_rows, read_position
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import Kind


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
