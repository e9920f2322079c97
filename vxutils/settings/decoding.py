"""A parsed file to a frozen Struct: every problem at once, each one a sentence with its full path.

`msgspec.convert` stops at the first problem and speaks of types; an operator wants all of them, in
the words of the file. So the table is walked beside the Struct's own declaration (fields, types,
`msgspec.Meta` bounds): the declaration is the only place where a bound is written. Only the final
conversion is left to msgspec. Nothing is read from disk here and no state is kept.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T", bound=msgspec.Struct)
Table = Mapping[str, Any]
ListInfo = inspect.ListType | inspect.VarTupleType | inspect.FrozenSetType

SHOWN_CHARACTERS_MAX = 60  # of a refused value; the rest of a long text helps nobody
SECRET_NAMES = frozenset({"pass", "password", "sentinel_password", "token"})
"""What is refused in these is not repeated on a terminal or in a log."""


class Problem(msgspec.Struct, frozen=True):
    """What is wrong (or doubtful) at one dotted path of a file; `str()` is the sentence."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Decoded(msgspec.Struct, Generic[T], frozen=True):
    """`value` is None exactly when there are problems; warnings come with either."""

    value: T | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def decode(
    kind: type[T],
    table: Table,
    *,
    unknown: Literal["refuse", "warn"] = "refuse",
    names: Mapping[str, str] | None = None,
) -> Decoded[T]:
    """`table` as a `kind`, or everything that is wrong with it.

    `unknown` says what an unknown key is: a problem (our TOML) or a warning (the C system's JSON).
    `names` translates our dotted paths to those of the file the operator wrote, where they differ.
    Whole numbers are accepted for fractional ones, never the other way; true and false are no numbers.
    Empty text is the way to write None where text is optional (TOML has no word for it). A section given
    in part keeps the defaults of the section for the rest.
    """
    walk = _Walk(kind, unknown, names or {})
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    clean = walk.struct(info, table, "", None)
    value = None if walk.problems else msgspec.convert(clean, kind)
    return Decoded(value, tuple(walk.problems), tuple(walk.warnings))


class _Walk:
    """One pass over one table; collects problems and warnings, returns the table without unknown keys."""

    def __init__(self, kind: type[msgspec.Struct], unknown: str, names: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._all_paths = list(setting_paths(kind))
        self._refuse_unknown = unknown == "refuse"
        self._names = names

    def struct(self, info: inspect.StructType, table: Table, path: str, default: object) -> object:
        """`default` is what this section is when left out; it also fills the keys left out of it."""
        fields = {field.encode_name: field for field in info.fields}
        for name in table:
            if name not in fields:
                self._unknown(name, path, list(fields))
        clean: dict[str, object] = {}
        for name, field in fields.items():
            at = _join(path, name)
            if name in table:
                clean[name] = self._value(field.type, table[name], at, field.default)
            elif isinstance(default, msgspec.Struct):
                clean[name] = msgspec.to_builtins(getattr(default, field.name))
            elif field.required:
                self._problem(at, "missing, but required")
        return clean

    def _value(self, info: inspect.Type, value: object, path: str, default: object = None) -> object:
        if not _fits(info, value):
            self._problem(path, f"{_shown(value, path)} is {_kind_of(value)}, but must be {_expected(info)}")
            return value
        match info:
            case inspect.StructType():
                assert isinstance(value, Mapping)
                return self.struct(info, value, path, default)
            case inspect.UnionType():
                if value == "" and any(isinstance(member, inspect.NoneType) for member in info.types):
                    return None
                member = next(member for member in info.types if _fits(member, value))
                return self._value(member, value, path)
            case inspect.LiteralType() if value not in info.values:
                self._problem(path, f"{_shown(value, path)} is not {_expected(info)}")
            case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
                return self._list(info, value, path)
            case inspect.IntType() | inspect.FloatType():
                return self._number(info, value, path)
            case inspect.StrType():
                return self._text(info, value, path)
        return value

    def _list(self, info: ListInfo, value: object, path: str) -> object:
        assert isinstance(value, Sequence)
        least, most = info.min_length or 0, info.max_length
        if len(value) < least or (most is not None and len(value) > most):
            allowed = f"{least} or more" if most is None else f"{least}..{most}"
            self._problem(path, f"{len(value)} entries, but must have {allowed}")
        return [self._value(info.item_type, item, f"{path}[{index}]") for index, item in enumerate(value)]

    def _number(self, info: inspect.IntType | inspect.FloatType, value: object, path: str) -> object:
        assert isinstance(value, int | float)
        low, high = info.ge, info.le
        if isinstance(value, float) and not math.isfinite(value):
            self._problem(path, f"{value} is not a finite number")
        elif isinstance(info, inspect.FloatType) and abs(value) > sys.float_info.max:
            self._problem(path, f"{_shown(value, path)} is too large a number")
        elif (low is not None and value < low) or (high is not None and value > high):
            self._problem(path, f"{_shown(value, path)} is outside {_range(low, high)}")
        return value

    def _text(self, info: inspect.StrType, value: object, path: str) -> object:
        assert isinstance(value, str)
        if "\0" in value or _has_surrogate(value):
            self._problem(path, f"{_shown(value, path)} holds a character that no text may hold")
        elif len(value) < (info.min_length or 0):
            self._problem(path, f"{_shown(value, path)} is too short, but must have {_characters(info)}")
        elif info.max_length is not None and len(value) > info.max_length:
            self._problem(path, f"{len(value)} characters is too long, but must have {_characters(info)}")
        return value

    def _problem(self, path: str, text: str) -> None:
        self.problems.append(Problem(self._names.get(path, path), text))

    def _unknown(self, name: str, path: str, siblings: Sequence[str]) -> None:
        at = _join(path, name)
        near = difflib.get_close_matches(name, siblings, n=1)
        if near:
            guess = _join(path, near[0])
        else:
            by_last_name = {other.rpartition(".")[2]: other for other in self._all_paths}
            elsewhere = difflib.get_close_matches(name, list(by_last_name), n=1, cutoff=0.8)
            guess = by_last_name[elsewhere[0]] if elsewhere else ""
        hint = f"; did you mean {guess}?" if guess else ""
        if self._refuse_unknown:
            self.problems.append(Problem(at, f"unknown setting{hint}"))
        else:
            self.warnings.append(Problem(at, f"unknown setting, ignored{hint}"))


def setting_paths(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The dotted path of every setting a file may give; entries of a list of tables as `name[].field`."""
    yield from _paths(inspect.type_info(kind), "")


def _paths(info: inspect.Type, path: str) -> Iterator[str]:
    match info:
        case inspect.StructType():
            for field in info.fields:
                yield from _paths(field.type, _join(path, field.encode_name))
        case inspect.VarTupleType(item_type=inspect.StructType()) as many:
            yield from _paths(many.item_type, f"{path}[]")
        case _:
            yield path


def _fits(info: inspect.Type, value: object) -> bool:
    """Whether `value` is of the kind `info` asks for; bounds are judged later."""
    match info:
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType() | inspect.LiteralType():
            return isinstance(value, str)
        case inspect.UnionType():
            return any(_fits(member, value) for member in info.types)
        case inspect.NoneType():
            return value is None
        case inspect.StructType():
            return isinstance(value, Mapping)
        case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
            return isinstance(value, list | tuple)
    raise AssertionError(f"settings may not be declared as {info}")


def _expected(info: inspect.Type) -> str:
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_of_range(info.ge, info.le)}"
        case inspect.FloatType():
            return f"a number{_of_range(info.ge, info.le)}"
        case inspect.StrType():
            return "text"
        case inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in info.values)
        case inspect.StructType():
            return "a table"
        case inspect.UnionType():
            return " or ".join(_expected(m) for m in info.types if not isinstance(m, inspect.NoneType))
        case inspect.ListType() | inspect.VarTupleType() | inspect.FrozenSetType():
            return f"a list, each {_expected(info.item_type)}"
    raise AssertionError(f"settings may not be declared as {info}")


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true/false"
        case int():
            return "a whole number"
        case float():
            return "a fractional number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a table"
    return f"a {type(value).__name__}"


def _shown(value: object, path: str) -> str:
    if path.rpartition(".")[2] in SECRET_NAMES:
        return "the value given"
    if value is None or isinstance(value, Mapping | list | tuple):
        return "it"
    text = repr(value) if isinstance(value, str | float) else str(value).lower()
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."


def _has_surrogate(text: str) -> bool:
    """Half of an escaped pair (`\\ud800` in JSON) is not Unicode and could never be written out."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _range(low: float | None, high: float | None) -> str:
    return f"{'' if low is None else low}..{'' if high is None else high}"


def _of_range(low: float | None, high: float | None) -> str:
    return "" if low is None and high is None else f" in {_range(low, high)}"


def _characters(info: inspect.StrType) -> str:
    if info.max_length is None:
        return f"{info.min_length} characters or more"
    return f"{info.min_length or 0}..{info.max_length} characters"


def _join(path: str, name: str) -> str:
    if not name.isprintable() or len(name) > SHOWN_CHARACTERS_MAX:
        name = repr(name[:SHOWN_CHARACTERS_MAX])
    return f"{path}.{name}" if path else name
