"""The reader of recorded flow: what it gives, and what it says about files that are not a flow."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.__main__ import SAMPLE_FLOW
from bench.flow import Checkpoint, Command, Fill, FlowError, Level, original, price_text, read_flow

COMMANDS = """\
row,time,op,id,side,price,size,note
1,34200.1,put,a,sell,585.10,10,add
2,34200.2,put,b.1,buy,585.0001,5,add
3,34200.3,take,t1,buy,585.10,4,a:5851000:4
4,34200.4,cancel,a,sell,585.10,6,delete
"""
HEADING = "row,commands,time,orders," + ",".join(
    f"{side}{number}_{what}"
    for number in range(1, 6)
    for side in ("ask", "bid")
    for what in ("price", "size")
)
CHECKPOINT = f"{HEADING}\n3,3,34200.3,2,585.10,6,585.0001,5,{',' * 15}\n"


def write(directory: Path, commands: str = COMMANDS, checkpoints: str = CHECKPOINT) -> Path:
    (directory / "commands.csv").write_text(commands)
    (directory / "expected_top5.csv").write_text(checkpoints)
    return directory


def test_every_field_is_read(tmp_path: Path) -> None:
    flow = read_flow(write(tmp_path))
    assert flow.commands == [
        Command(1, "put", "a", "sell", 5_851_000, 10),
        Command(2, "put", "b.1", "buy", 5_850_001, 5),
        Command(3, "take", "t1", "buy", 5_851_000, 4, (Fill("a", 5_851_000, 4),)),
        Command(4, "cancel", "a", "sell", 5_851_000, 6),
    ]
    assert flow.checkpoints == [Checkpoint(3, 2, (Level(5_851_000, 6),), (Level(5_850_001, 5),))]


def test_zipped_files_read_the_same(tmp_path: Path) -> None:
    for name in ("commands.csv", "expected_top5.csv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((SAMPLE_FLOW / name).read_bytes()))
    assert read_flow(tmp_path) == read_flow(SAMPLE_FLOW)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("put,a", "add,a", "row 1: unknown operation"),
        ("sell,585.10,10", "ask,585.10,10", "row 1: unknown operation or side"),
        ("585.10,10", "585.10,1_0", "row 1: '1_0' is not a number"),
        ("585.10,10", "x,10", "row 1: 'x0000' is not a number"),
        ("a:5851000:4", "a:5851000:3", "row 3: the fills do not add up"),
        ("a:5851000:4", "a:4", "row 3: 'a:4' is not maker:price:size"),
        ("op,id", "op,name", "row 1: no column id"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(FlowError, match=said):
        read_flow(write(tmp_path, COMMANDS.replace(old, new, 1)))


def test_a_checkpoint_beyond_the_commands_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="do not ascend within the 4 commands"):
        read_flow(write(tmp_path, checkpoints=CHECKPOINT.replace("3,3,", "3,5,")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=r"neither commands\.csv nor commands\.csv\.gz"):
        read_flow(tmp_path)


@pytest.mark.parametrize(
    ("price", "text"), [(5_851_000, "585.10"), (5_850_001, "585.0001"), (5_850_000, "585.00"), (12, "0.0012")]
)
def test_prices_keep_what_they_need(price: int, text: str) -> None:
    assert price_text(price) == text


@pytest.mark.parametrize(("part", "order"), [("17", "17"), ("17.1", "17"), ("17.12", "17")])
def test_a_part_belongs_to_its_order(part: str, order: str) -> None:
    assert original(part) == order
