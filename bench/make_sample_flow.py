"""Makes the small flow in bench/sample_flow: random orders matched by a naive price-time book.

    python -m bench.make_sample_flow bench/sample_flow

All of it is invented. The book here is on purpose the simplest possible (a list, sorted anew for each
command), so that it shares nothing with the engine it is an answer for.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random

from bench.expected_book import ExpectedBook
from bench.flow import DEPTH_LEVELS, Checkpoint, Command, Fill, Flow, Level, Side, price_text

SEED = 20120621
COMMANDS = 600
CHECKPOINT_EVERY = 50
_MIDDLE = 5_850_000  # 585.00
_TICK = 100  # one cent
_SPREAD_TICKS = 12
_OPENING_ORDERS = 40  # puts only, before anything is taken
_IDS = 60  # few, so that ids are put again after their cancel


def make_flow(seed: int = SEED) -> Flow:
    """The sample flow; the same seed gives the same flow."""
    random = Random(seed)
    book = ExpectedBook()
    commands: list[Command] = []
    checkpoints: list[Checkpoint] = []
    while len(commands) < COMMANDS:
        command = _next_command(random, book, len(commands) + 1)
        book.apply(command)
        commands.append(command)
        if len(commands) % CHECKPOINT_EVERY == 0:
            asks, bids = book.levels("sell", DEPTH_LEVELS), book.levels("buy", DEPTH_LEVELS)
            checkpoints.append(Checkpoint(len(commands), book.originals(), asks, bids))
    return Flow(commands, checkpoints)


def _next_command(random: Random, book: ExpectedBook, row: int) -> Command:
    resting = [*book.side("sell"), *book.side("buy")]
    choice = random.random()
    if len(resting) >= _OPENING_ORDERS and choice < 0.45:
        order = random.choice(resting)
        return Command(row, "cancel", order.id, order.side, order.price, order.left)
    if len(resting) >= _OPENING_ORDERS and choice < 0.65:
        return _take(random, book, row)
    return _put(random, book, row)


def _put(random: Random, book: ExpectedBook, row: int) -> Command:
    side: Side = "sell" if random.random() < 0.5 else "buy"
    away = random.randint(1, _SPREAD_TICKS) * _TICK
    price = _MIDDLE + away if side == "sell" else _MIDDLE - away
    names = [f"{number}{part}" for number in range(1, _IDS + 1) for part in ("", ".1")]
    free = [name for name in names if book.get(name) is None]
    return Command(row, "put", random.choice(free), side, price, random.choice((1, 5, 18, 50, 100, 200)))


def _take(random: Random, book: ExpectedBook, row: int) -> Command:
    """A take of up to three makers, the last one in part or whole."""
    side: Side = "sell" if random.random() < 0.5 else "buy"
    makers = book.side("buy" if side == "sell" else "sell")[: random.randint(1, 3)]
    fills = [Fill(maker.id, maker.price, maker.left) for maker in makers]
    last = fills[-1]
    fills[-1] = Fill(last.maker, last.price, random.randint(1, last.size))
    size = sum(fill.size for fill in fills)
    return Command(row, "take", f"t{row}", side, last.price, size, tuple(fills))


def write_flow(flow: Flow, directory: Path) -> None:
    """Writes both files of a flow, not zipped. Raises: OSError."""
    _write(directory / "commands.csv", _command_lines(flow))
    _write(directory / "expected_top5.csv", _checkpoint_lines(flow))


def _command_lines(flow: Flow) -> Iterable[list[object]]:
    yield ["row", "time", "op", "id", "side", "price", "size", "note"]
    for command in flow.commands:
        note = " ".join(f"{fill.maker}:{fill.price}:{fill.size}" for fill in command.fills)
        price = price_text(command.price)
        yield [
            command.row,
            command.row,
            command.operation,
            command.id,
            command.side,
            price,
            command.size,
            note,
        ]


def _checkpoint_lines(flow: Flow) -> Iterable[list[object]]:
    names: list[object] = ["row", "commands", "time", "orders"]
    for number in range(1, DEPTH_LEVELS + 1):
        names += [f"ask{number}_price", f"ask{number}_size", f"bid{number}_price", f"bid{number}_size"]
    yield names
    for point in flow.checkpoints:
        line: list[object] = [point.commands, point.commands, point.commands, point.orders]
        for number in range(DEPTH_LEVELS):
            line += _level(point.asks, number) + _level(point.bids, number)
        yield line


def _level(levels: tuple[Level, ...], number: int) -> list[object]:
    return [price_text(levels[number].price), levels[number].size] if number < len(levels) else ["", ""]


def _write(path: Path, lines: Iterable[list[object]]) -> None:
    with path.open("w", encoding="ascii", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    write_flow(make_flow(), Path(sys.argv[1]))
