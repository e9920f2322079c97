"""A settings file to a checked Struct, in the steps that every process takes.

    path -> text -> table -> servers it names -> (translation of a C file) -> decode -> check

`SettingsFile` says what is particular to one process. `load` takes all steps; whoever tells the problems in
another order takes `parse` and `decode_and_check` himself. Nothing is logged here, and nothing but the
settings file is opened.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from vxutils.settings import stores
from vxutils.settings.c_sections import Translated
from vxutils.settings.decoding import decode
from vxutils.settings.files import SettingsError, is_c_config, parse_c_json, parse_toml, read_text

T = TypeVar("T", bound=msgspec.Struct)
Table = dict[str, Any]
Names = Mapping[str, str]


class SettingsFile(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What is particular to the settings file of one process.

    `translate` makes the table of our TOML of a C `config.json`. `check(settings, names)` finds the problems
    that no declaration can find. `toml_stores`, `c_stores`: settings that name a server, and its product; the
    C system requires all of its own. `c_names`: paths of our settings by which a C file knows them otherwise;
    `check` is given them for such a file, and nothing for TOML.
    """

    kind: type[T]
    translate: Callable[[Table], Translated]
    check: Callable[[T, Names], list[str]]
    toml_stores: Names = {}
    c_stores: Names = {}
    c_names: Names = {}


class ParsedFile(msgspec.Struct, frozen=True):
    """A file as a table in the words of its own language, and the servers it names or leaves out."""

    is_c: bool
    table: Table
    warnings: list[str]
    named: list[stores.NamedStore]
    missing: list[str]


class Outcome(msgspec.Struct, Generic[T], frozen=True):
    """The settings (None when they cannot even be decoded), their problems, and warnings of a translation."""

    settings: T | None
    problems: list[str]
    warnings: list[str]


def load(file: SettingsFile[T], path: str | Path, embedded: bool) -> tuple[T, list[str]]:
    """The settings in the file at `path`, and in words what the operator should know about it.

    `embedded`: a server which the file names and this version cannot use is warned about, not refused.

    Raises: SettingsError with all problems of the file in words.
    """
    parsed = parse(file, path)
    outcome = decode_and_check(file, parsed)
    problems = outcome.problems
    if not embedded:
        problems = problems + [stores.missing(name) for name in parsed.missing]
        problems += [stores.refusal(store) for store in parsed.named]
    if outcome.settings is None or problems:
        raise SettingsError(problems)
    unused = [stores.warning(store) for store in parsed.named]
    return outcome.settings, parsed.warnings + unused + outcome.warnings


def parse(file: SettingsFile[T], path: str | Path) -> ParsedFile:
    """The file at `path`: our TOML, or a `config.json` of the C system.

    Raises: SettingsError when it cannot be read or is not valid in its language.
    """
    text = read_text(Path(path))
    if is_c_config(text):
        table, warnings = parse_c_json(text)
        named = stores.named_stores(table, file.c_stores)
        return ParsedFile(True, table, warnings, named, [name for name in file.c_stores if name not in table])
    table = parse_toml(text)
    named = stores.named_stores(table, file.toml_stores)
    # No such setting exists: left in, each would be refused once more as an unknown name.
    rest = {name: value for name, value in table.items() if name not in file.toml_stores}
    return ParsedFile(False, rest, [], named, [])


def decode_and_check(file: SettingsFile[T], parsed: ParsedFile) -> Outcome[T]:
    """The settings of a parsed file; the servers it names are not judged here."""
    table = parsed.table
    names: Names = {}
    warnings: list[str] = []
    if parsed.is_c:
        try:
            translated = file.translate(table)
        except SettingsError as error:
            return Outcome(None, error.problems, [])
        table, names, warnings = translated.table, file.c_names, translated.warnings
    decoded = decode(file.kind, table, names=names)
    if decoded.value is None:
        return Outcome(None, [str(problem) for problem in decoded.problems], warnings)
    return Outcome(decoded.value, file.check(decoded.value, names), warnings)
