"""Reader of recorded order flow: commands for a price-time engine and the book that must result.

A flow is a directory of two files, plain or gzipped:

    commands.csv       row,time,op,id,side,price,size,note
    expected_top5.csv  row,commands,time,orders,ask1_price,ask1_size,bid1_price,bid1_size,ask2_price,...

`put` rests a limit order; `cancel` removes it (`size` = what must still be open); `take` is a limit order
of the other side that must fill at once and in full (`note`: the fills in order, `maker:price x 10000:size`).
An id is the file's own and may be put again after its cancel. An id with a dot (`22328902.1`) is a part of
the order before the dot: the source took it away piece by piece, so the flow puts it in pieces. A checkpoint
names the five best levels after exactly `commands` commands (a level that does not exist is left empty) and
the number of open orders, where all parts of one order count once.

Only reads: what the flow means for a book is `bench.expected_book`.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

PRICE_UNITS = 10_000  # prices are whole numbers of 1/10,000, as in the notes
DEPTH_LEVELS = 5

Operation = Literal["put", "cancel", "take"]
Side = Literal["sell", "buy"]

_OPERATIONS: dict[str, Operation] = {"put": "put", "cancel": "cancel", "take": "take"}
_SIDES: dict[str, Side] = {"sell": "sell", "buy": "buy"}


class FlowError(Exception):
    """A flow file is not what its format says; the text names file, line and reason."""


class Fill(msgspec.Struct, frozen=True):
    """An expected fill of a take: which resting order gives how much, at its price (1/10,000)."""

    maker: str
    price: int
    size: int


class Command(msgspec.Struct, frozen=True):
    """One line of the commands. `price` in 1/10,000; `fills` only for a take."""

    row: int
    operation: Operation
    id: str
    side: Side
    price: int
    size: int
    fills: tuple[Fill, ...] = ()


class Level(msgspec.Struct, frozen=True):
    """One price level of a depth, price in 1/10,000."""

    price: int
    size: int


class Checkpoint(msgspec.Struct, frozen=True):
    """The book after `commands` commands: open orders (parts count once), best levels, best first."""

    commands: int
    orders: int
    asks: tuple[Level, ...]
    bids: tuple[Level, ...]


class Flow(msgspec.Struct, frozen=True):
    """All commands in order and all checkpoints in order."""

    commands: list[Command]
    checkpoints: list[Checkpoint]


def read_flow(directory: Path) -> Flow:
    """The flow in `directory`. Raises: FlowError, OSError."""
    commands = [_command(line) for line in _Lines(directory, "commands.csv")]
    checkpoints = [_checkpoint(line) for line in _Lines(directory, "expected_top5.csv")]
    counts = [checkpoint.commands for checkpoint in checkpoints]
    if counts != sorted(set(counts)) or (counts and counts[-1] > len(commands)):
        raise FlowError(f"{directory}: checkpoints do not ascend within the {len(commands)} commands")
    return Flow(commands, checkpoints)


def original(id: str) -> str:
    """The order that `id` is, or is a part of."""
    return id.partition(".")[0]


def price_text(price: int) -> str:
    """A price as decimal text with as many decimals as it needs, at least two."""
    whole, fraction = divmod(price, PRICE_UNITS)
    digits = f"{fraction:04d}".rstrip("0")
    return f"{whole}.{digits:0<2}"


class _Lines:
    """The lines of one file as dicts; what goes wrong in one is told with its place."""

    def __init__(self, directory: Path, name: str) -> None:
        plain, zipped = directory / name, directory / f"{name}.gz"
        self._path = plain if plain.exists() else zipped
        if not self._path.exists():
            raise FlowError(f"{directory}: neither {name} nor {name}.gz is there")

    def __iter__(self) -> Iterator[_Line]:
        opened = gzip.open if self._path.suffix == ".gz" else open
        with opened(self._path, "rt", encoding="ascii", newline="") as file:
            for fields in csv.DictReader(file):
                yield _Line(self._path, fields)


class _Line:
    def __init__(self, path: Path, fields: dict[str, str]) -> None:
        self._path = path
        self._fields = fields

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if value is None:
            raise self.error(f"no column {name}")
        return value

    def number(self, name: str) -> int:
        return self.parsed_number(self.text(name))

    def price(self, name: str) -> int:
        whole, _, fraction = self.text(name).partition(".")
        return self.parsed_number(whole + f"{fraction:0<4}")

    def parsed_number(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise self.error(f"{text!r} is not a number")
        return int(text)

    def error(self, reason: str) -> FlowError:
        return FlowError(f"{self._path}, row {self._fields.get('row')}: {reason}")


def _command(line: _Line) -> Command:
    operation, side = _OPERATIONS.get(line.text("op")), _SIDES.get(line.text("side"))
    if operation is None or side is None:
        raise line.error("unknown operation or side")
    fills = tuple(_fill(line, text) for text in line.text("note").split()) if operation == "take" else ()
    size = line.number("size")
    if operation == "take" and sum(fill.size for fill in fills) != size:
        raise line.error("the fills do not add up to the size")
    return Command(line.number("row"), operation, line.text("id"), side, line.price("price"), size, fills)


def _fill(line: _Line, text: str) -> Fill:
    parts = text.split(":")
    if len(parts) != 3:
        raise line.error(f"{text!r} is not maker:price:size")
    return Fill(parts[0], line.parsed_number(parts[1]), line.parsed_number(parts[2]))


def _checkpoint(line: _Line) -> Checkpoint:
    return Checkpoint(
        line.number("commands"), line.number("orders"), _levels(line, "ask"), _levels(line, "bid")
    )


def _levels(line: _Line, side: str) -> tuple[Level, ...]:
    numbers = range(1, DEPTH_LEVELS + 1)
    return tuple(
        Level(line.price(f"{side}{number}_price"), line.number(f"{side}{number}_size"))
        for number in numbers
        if line.text(f"{side}{number}_price")
    )
