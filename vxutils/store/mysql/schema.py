"""The tables of a database made, checked and widened.

A column may be wider than the C system has it: `check` calls only those differences fatal with which rows
would be refused or cut. What the tables are is in `tables`.

Source: protocol.md 4.2, 4.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlSchemaWrong
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import EXAMPLE, OWN_TABLES, Column, Kind, statement_of, tables_of

WIDE_DIGITS: Final = 65
WIDE_SCALE: Final = 30
"""To what `migrate` widens decimals: the most that MySQL has. The C system reads 34 significant digits of a
slice and prints whatever text a history table holds, so it goes on working with such columns."""


class Difference(msgspec.Struct, frozen=True):
    """One thing in which a database is not as it should be; `is_fatal`: it can not be written to."""

    text: str
    is_fatal: bool

    def __str__(self) -> str:
        return self.text


def create(settings: MysqlSettings, kind: Kind, say: Callable[[str], None] = lambda text: None) -> None:
    """Makes the database if it is missing, and every table that is missing in it. Raises: MysqlError."""
    database = Database(settings)
    try:
        try:
            database.rows("SELECT 1")
        except MysqlSchemaWrong:
            _create_database(settings)
            say(f"made the database {settings.name}")
            database = Database(settings)
        there = set(_table_names(database))
        missing = {name: table for name, table in tables_of(kind).items() if name not in there}
        for name, table in missing.items():
            example = f"{name.rpartition('_')[0]}_{EXAMPLE}"
            if name != example and example in tables_of(kind):
                # As the C system's script does: a family is what its example is.
                database.run(f"CREATE TABLE IF NOT EXISTS `{name}` LIKE `{example}`")
            else:
                database.run(statement_of(name, table, "utf8"))
        create_own(database)
        say(f"{settings.name}: {len(missing)} tables made, {len(there)} were there")
    finally:
        database.close()


def create_own(database: Database) -> None:
    """Makes our own tables where they are missing. Raises: MysqlError."""
    there = set(_table_names(database))
    for name, table in OWN_TABLES.items():
        if name not in there:
            database.run(statement_of(name, table, "utf8mb4"))


class FoundColumn(NamedTuple):
    """A column as the server describes it; `charset` is None unless it holds text."""

    type: str
    charset: str | None


def found_columns(database: Database) -> dict[str, dict[str, FoundColumn]]:
    """Table -> column -> what it is, of the whole database. Raises: MysqlError."""
    found: dict[str, dict[str, FoundColumn]] = {}
    for table, column, kind, charset in database.rows(
        "SELECT table_name, column_name, column_type, character_set_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE()"
    ):
        found.setdefault(table, {})[column] = FoundColumn(kind, charset)
    return found


def check(database: Database, kind: Kind) -> list[Difference]:
    """In what the tables of the C system differ from what they should be. Raises: MysqlError."""
    found = found_columns(database)
    engines = {
        table: str(engine)
        for table, engine in database.rows(
            "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()"
        )
    }
    indexes = {
        (table, index)
        for table, index in database.rows(
            "SELECT table_name, index_name FROM information_schema.statistics WHERE table_schema = DATABASE()"
        )
    }
    differences: list[Difference] = []

    def differs(text: str, is_fatal: bool = True) -> None:
        differences.append(Difference(f"{database.settings.name}.{text}", is_fatal))

    for name, table in tables_of(kind).items():
        columns = found.get(name)
        if columns is None:
            differs(f"{name}: no such table")
            continue
        if engines[name].lower() != "innodb":
            differs(f"{name}: engine {engines[name]}, but only InnoDB commits all or nothing")
        for column in table.columns:
            problem = _column_problem(column, columns.get(column.name))
            if problem:
                differs(f"{name}.{column.name}: {problem}")
        for index, _ in table.indexes:
            if (name, index) not in indexes:
                differs(f"{name}: no index {index}, queries will be slow", is_fatal=False)
    return differences


def migrate(database: Database, kind: Kind, say: Callable[[str], None] = lambda text: None) -> int:
    """Widens every decimal of the tables of the C system to DECIMAL(65,30); how many tables it changed.

    Digits are only added. Tables that are wide already are left alone, so it may be broken off and run
    again. Each table is written anew while it is locked. Raises: MysqlError; MysqlSchemaWrong, before
    anything is changed, if `check` finds a fatal difference.
    """
    fatal = [difference.text for difference in check(database, kind) if difference.is_fatal]
    if fatal:
        raise MysqlSchemaWrong("; ".join(fatal))
    wide = f"DECIMAL({WIDE_DIGITS},{WIDE_SCALE})"
    found = found_columns(database)
    changed = 0
    tables = tables_of(kind)
    for number, (name, table) in enumerate(tables.items(), 1):
        narrow = [
            column
            for column in table.columns
            if column.type.startswith("DECIMAL") and not is_wide_enough(found[name][column.name].type, wide)
        ]
        if narrow:
            changes = ", ".join(f"MODIFY `{column.name}` {wide} {column.more}" for column in narrow)
            database.run(f"ALTER TABLE `{name}` {changes}")
            changed += 1
            say(f"{database.settings.name}.{name}: {len(narrow)} columns widened ({number} of {len(tables)})")
    return changed


_INTEGERS: Final = ("tinyint", "smallint", "mediumint", "int", "bigint")
_TEXTS: Final = ("text", "mediumtext", "longtext")
_UTF8: Final = frozenset({"utf8", "utf8mb3", "utf8mb4"})
_TYPE: Final = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?( unsigned)?")


class ParsedType(NamedTuple):
    """A column type: its word, the numbers in brackets (0 if none), and whether it is unsigned."""

    word: str
    size: int
    scale: int
    is_unsigned: bool


def parse_type(text: str) -> ParsedType:
    """A type as the server or a CREATE TABLE writes it."""
    match = _TYPE.match(text.lower())
    assert match is not None, f"{text!r} is a type"
    word, size, scale, unsigned = match.groups()
    return ParsedType(word, int(size or 0), int(scale or 0), unsigned is not None)


def is_wide_enough(found: str, wanted: str) -> bool:
    """Whether a column of the type `found` holds everything that one of the type `wanted` holds."""
    is_, should = parse_type(found), parse_type(wanted)
    if should.word == "decimal":
        is_wide = is_.scale >= should.scale and is_.size - is_.scale >= should.size - should.scale
        return is_.word == "decimal" and is_wide and is_.is_unsigned == should.is_unsigned
    if should.word == "varchar":
        return is_.word in _TEXTS or (is_.word == "varchar" and is_.size >= should.size)
    for order in (_INTEGERS, _TEXTS):
        if should.word in order:
            return (
                is_.word in order
                and order.index(is_.word) >= order.index(should.word)
                and is_.is_unsigned == should.is_unsigned
            )
    return is_.word == should.word


def _column_problem(wanted: Column, found: FoundColumn | None) -> str:
    if found is None:
        return f"no such column, wanted {wanted.type.lower()}"
    if not is_wide_enough(found.type, wanted.type):
        return f"is {found.type}, wanted {wanted.type.lower()} or wider"
    if found.charset is not None and found.charset not in _UTF8:
        return f"character set {found.charset}, wanted utf8"
    return ""


def _table_names(database: Database) -> list[str]:
    rows = database.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
    return [name for (name,) in rows]


def _create_database(settings: MysqlSettings) -> None:
    server = Database(msgspec.structs.replace(settings, name="information_schema"))
    try:
        server.run(f"CREATE DATABASE IF NOT EXISTS `{settings.name}` CHARACTER SET utf8")
    finally:
        server.close()
