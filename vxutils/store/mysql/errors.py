"""What can go wrong with a database, by what has to be done about it.

    Away          nobody answers, or not now        try again, with a growing pause
    Refused       credentials, rights               a person has to look; try again all the same
    SchemaWrong   no such database, table, column   a person has to look: `vx db check`
    BadData       the columns refuse these values   never try again with the same values
    TooSlow       a query was given up              ask for less

The server's error numbers are sorted here and nowhere else. A number that is not known counts as Away: what
is tried again loses nothing.
"""

from __future__ import annotations

from typing import Final

import pymysql


class MysqlError(Exception):
    """The text names the database and says what the server said; `code` is the server's number or 0."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class MysqlAway(MysqlError):
    """The server does not answer, or can not do it now."""


class MysqlRefused(MysqlError):
    """The server does not let us in, or not do this."""


class MysqlSchemaWrong(MysqlError):
    """The database, a table or a column is missing, or of a type that can not hold what is written."""


class MysqlBadData(MysqlError):
    """The columns can not hold the values, or a key is there already."""


class MysqlTooSlow(MysqlError):
    """The query took longer than it may."""


class MysqlForeign(Exception):
    """The database belongs to another system, or to nobody who can be named. The text says what to do."""


class MysqlFenced(Exception):
    """Another engine has opened a newer epoch on this database: this one must not write."""


_REFUSED: Final = frozenset({1044, 1045, 1130, 1142, 1143, 1227, 1251, 1370, 1698, 1820, 1862, 2059, 4151})
_SCHEMA: Final = frozenset({1049, 1051, 1054, 1064, 1091, 1109, 1136, 1146, 1364, 1932})
_BAD_DATA: Final = frozenset({1048, 1062, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1586, 1690, 3140, 4025})
_TOO_SLOW: Final = frozenset({1969, 3024})


def sort_error(error: Exception, where: str) -> MysqlError:
    """The error of the driver as one of ours; `where` names the database."""
    code = error.args[0] if error.args and type(error.args[0]) is int else 0
    said = error.args[1] if len(error.args) > 1 else str(error) or type(error).__name__
    text = f"{where}: {said}" + (f" ({code})" if code else "")
    if code in _TOO_SLOW:
        return MysqlTooSlow(text, code)
    if code in _REFUSED or (isinstance(error, RuntimeError) and not code):
        # The driver lacks what an authentication method needs.
        return MysqlRefused(text, code)
    if code in _SCHEMA:
        return MysqlSchemaWrong(text, code)
    if code in _BAD_DATA or isinstance(error, pymysql.err.DataError | pymysql.err.IntegrityError):
        return MysqlBadData(text, code)
    return MysqlAway(text, code)
