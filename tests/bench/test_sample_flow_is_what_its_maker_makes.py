"""The sample flow in the project is made by its maker, and agrees with itself at every checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import SAMPLE_FLOW
from bench.expected_book import ExpectedBook
from bench.flow import DEPTH_LEVELS, Command, Fill, FlowError, read_flow
from bench.make_sample_flow import make_flow, write_flow


def test_files_are_reproduced_byte_for_byte(tmp_path: Path) -> None:
    write_flow(make_flow(), tmp_path)
    for name in ("commands.csv", "expected_top5.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLE_FLOW / name).read_bytes()


def test_plain_arithmetic_reaches_every_checkpoint() -> None:
    flow = read_flow(SAMPLE_FLOW)
    book, done = ExpectedBook(), 0
    assert len(flow.checkpoints) == 12
    for point in flow.checkpoints:
        for command in flow.commands[done : point.commands]:
            book.apply(command)
        done = point.commands
        assert book.originals() == point.orders
        assert book.levels("sell", DEPTH_LEVELS) == point.asks
        assert book.levels("buy", DEPTH_LEVELS) == point.bids


def test_it_has_what_makes_flow_difficult() -> None:
    commands = read_flow(SAMPLE_FLOW).commands
    puts = [command.id for command in commands if command.operation == "put"]
    assert len(puts) > len(set(puts)), "an id is put again"
    assert any("." in name for name in puts), "parts of orders"
    assert any(len(command.fills) > 1 for command in commands), "several makers in one take"


PUT = Command(1, "put", "a", "sell", 100, 10)


@pytest.mark.parametrize(
    "wrong",
    [
        PUT,
        Command(2, "cancel", "a", "sell", 100, 9),
        Command(2, "cancel", "b", "sell", 100, 10),
        Command(2, "take", "t", "buy", 100, 11, (Fill("a", 100, 11),)),
        Command(2, "take", "t", "buy", 101, 1, (Fill("a", 101, 1),)),
        Command(2, "take", "t", "sell", 100, 1, (Fill("a", 100, 1),)),
    ],
)
def test_a_flow_that_contradicts_itself_is_refused(wrong: Command) -> None:
    book = ExpectedBook()
    book.apply(PUT)
    with pytest.raises(FlowError, match="row"):
        book.apply(wrong)
