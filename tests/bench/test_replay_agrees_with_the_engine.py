"""The replay against the real engine: agrees with a true flow, and finds each kind of untruth."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import SAMPLE_FLOW
from bench.engine import Engine
from bench.flow import Checkpoint, Command, Fill, Flow, Level, read_flow
from bench.replay import main, replay, replay_fresh
from bench.replay_client import ReplayError

ASK, BETTER = 5_850_000, 5_849_900
PUTS = [
    Command(1, "put", "late", "sell", ASK, 10),
    Command(2, "put", "later", "sell", ASK, 10),
    Command(3, "put", "first", "sell", BETTER, 3),
]
TRUE_FILLS = (Fill("first", BETTER, 3), Fill("late", ASK, 4))


def flow(
    fills: tuple[Fill, ...] = TRUE_FILLS, left: int = 16, orders: int = 2, puts: list[Command] | None = None
) -> Flow:
    take = Command(4, "take", "t", "buy", ASK, sum(fill.size for fill in fills), fills)
    return Flow([*(puts or PUTS), take], [Checkpoint(4, orders, (Level(ASK, left),), ())])


def test_the_sample_agrees_maker_by_maker(tmp_path: Path) -> None:
    result = replay_fresh(read_flow(SAMPLE_FLOW), tmp_path, "off", verify=True)
    assert result.mismatches == []
    assert result.commands == 600
    assert result.checkpoints == 12
    assert result.verified_makers == result.fills > 100
    assert result.line()["verdict"] == "agrees"


@pytest.mark.parametrize("window", [1, 7])
def test_any_window_gives_the_same(tmp_path: Path, window: int) -> None:
    assert replay_fresh(read_flow(SAMPLE_FLOW), tmp_path, "off", window=window).mismatches == []


@pytest.mark.parametrize(
    ("told", "verify", "said"),
    [
        (flow(), True, ""),
        # the right price and size from the wrong one of two orders at the price
        (flow((Fill("first", BETTER, 3), Fill("later", ASK, 4))), False, "left is 6, must be 10"),
        (flow((Fill("first", BETTER, 3), Fill("later", ASK, 4))), True, "maker later: left is 10, must be 6"),
        (flow((Fill("late", ASK, 7),), left=13), False, "deal_money is 40949700"),
        (flow(left=17), False, "asks is"),
        (flow(orders=3), False, "open orders is 2, must be 3"),
        # more than there is: the rest of the take would rest
        (flow(puts=[Command(1, "put", "late", "sell", ASK, 4), PUTS[2]]), False, "asks is []"),
    ],
)
def test_an_untrue_flow_is_found(tmp_path: Path, told: Flow, verify: bool, said: str) -> None:
    result = replay_fresh(told, tmp_path, "off", verify=verify)
    if said:
        assert any(said in mismatch for mismatch in result.mismatches), result.mismatches
        assert result.line()["verdict"] == "differs"
    else:
        assert result.mismatches == []


def test_a_used_engine_is_refused(tmp_path: Path) -> None:
    with Engine(tmp_path, "off") as engine:
        assert replay(flow(), engine.host, engine.port).mismatches == []
        with pytest.raises(ReplayError, match="refused"):
            replay(flow(), engine.host, engine.port)


def test_the_command_line_ends_with_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = ["--flow", str(SAMPLE_FLOW), "--durability", "off", "--directory", str(tmp_path)]
    assert main(shown) == 0
    assert '"verdict": "agrees"' in capsys.readouterr().out
    assert main(["--flow", str(tmp_path)]) == 1
    assert "neither commands.csv" in capsys.readouterr().err
