"""Sends a recorded flow through a real, freshly started engine and checks everything it can see.

    python -m bench.replay --flow DIRECTORY [--verify]

Checked, in decimals of the replies:

- every put rests in full; every cancel finds what must still be open; every take fills at once and in full,
  for exactly the money its expected fills cost
- at each checkpoint: depth (five levels), number of open orders, and *every* open order: its place in the
  whole book in price-time priority, what is left of it, what it has traded and for how much money
- with `verify`: after each take every maker it names, one by one (order.pending_detail)
- at the end: the balances of both users

Puts come from one rich user and takes from another, over one connection, pipelined; a cancel waits for the
id of its order when that is not known yet. Checks run between the checkpoints while the clock is stopped, so
`commands_per_s` is the time of commands alone. Exit code 1 on any mismatch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from bench.engine import Durability, Engine
from bench.expected_book import ExpectedBook
from bench.flow import Checkpoint, Flow, FlowError, read_flow
from bench.process import ServiceError
from bench.replay_checks import Checks
from bench.replay_client import ReplayClient, ReplayError

MARKET, STOCK, MONEY = "SHAREUSD", "SHARE", "USD"
WINDOW = 64  # requests outstanding
WINDOW_MAX = 1024
SHOWN_MISMATCHES_MAX = 20


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one replay came to. `mismatches` holds sentences; empty is the verdict `agrees`."""

    commands: int
    takes: int
    fills: int
    checkpoints: int
    verified_makers: int
    commands_s: float
    mismatches: list[str]

    def line(self) -> dict[str, Any]:
        """The JSON line."""
        return {
            "commands": self.commands,
            "takes": self.takes,
            "fills": self.fills,
            "checkpoints": self.checkpoints,
            "verified_makers": self.verified_makers,
            "commands_per_s": round(self.commands / self.commands_s) if self.commands_s else 0,
            "mismatches": len(self.mismatches),
            "verdict": "differs" if self.mismatches else "agrees",
        }


def replay(flow: Flow, host: str, port: int, window: int = WINDOW, verify: bool = False) -> ReplayResult:
    """Replays `flow` on the engine at host:port, whose market must be empty.

    Stops at the first checkpoint that shows a mismatch, because all later ones would differ too.

    Raises: ReplayError if the engine closes or is not fresh; FlowError if the flow contradicts itself;
    OSError.
    """
    client = ReplayClient(host, port, window, MARKET)
    try:
        client.credit(STOCK, MONEY)
        checks = Checks(client, ExpectedBook(), MARKET, STOCK, MONEY)
        checks.is_fresh()
        done = reached = 0
        sections: list[Checkpoint | None] = [*flow.checkpoints, None]
        for checkpoint in sections:
            end = checkpoint.commands if checkpoint else len(flow.commands)
            commands = flow.commands[done:end]
            answers = client.send(commands, verify)
            done = end
            checks.section(commands, answers, checkpoint)
            if checks.mismatches:
                break
            reached += checkpoint is not None
        if not checks.mismatches:
            checks.balances()
        sent = flow.commands[:done]
        return ReplayResult(
            commands=done,
            takes=sum(command.operation == "take" for command in sent),
            fills=sum(len(command.fills) for command in sent),
            checkpoints=reached,
            verified_makers=checks.verified_makers,
            commands_s=client.commands_s,
            mismatches=checks.mismatches,
        )
    finally:
        client.close()


def replay_fresh(
    flow: Flow, place: Path | None, durability: Durability, window: int = WINDOW, verify: bool = False
) -> ReplayResult:
    """As `replay`, on an engine of its own in a temporary directory under `place`."""
    with (
        tempfile.TemporaryDirectory(prefix="replay-", dir=place) as directory,
        Engine(Path(directory), durability) as engine,
    ):
        return replay(flow, engine.host, engine.port, window, verify)


def main(arguments: list[str]) -> int:
    """Replays one flow and prints verdict and JSON line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description="Replay of recorded flow.")
    add = parser.add_argument
    add("--flow", type=Path, default=os.environ.get("VX_FLOW"), help="directory of the flow (or VX_FLOW)")
    add("-a", dest="address", help="ip:port of a fresh engine; by default one is started")
    add("-w", dest="window", type=int, default=WINDOW, help="requests outstanding")
    add("--verify", action="store_true", help="query every maker after each take")
    add("--durability", choices=("group", "interval", "off"), default="group")
    add("--directory", type=Path, help="where the engine's data directory is made, removed afterwards")
    given = parser.parse_args(arguments)
    if given.flow is None:
        parser.error("--flow DIRECTORY or VX_FLOW says which flow")
    if not 1 <= given.window <= WINDOW_MAX:
        parser.error(f"-w takes 1 to {WINDOW_MAX}")
    try:
        flow = read_flow(Path(given.flow))
        if given.address:
            host, _, port = given.address.rpartition(":")
            result = replay(flow, host, int(port), given.window, given.verify)
        else:
            result = replay_fresh(flow, given.directory, given.durability, given.window, given.verify)
    except (ServiceError, FlowError, ReplayError, OSError) as error:
        print(f"bench.replay: {error}", file=sys.stderr)
        return 1
    for mismatch in result.mismatches[:SHOWN_MISMATCHES_MAX]:
        print(f"MISMATCH {mismatch}")
    print(json.dumps(result.line()))
    return 1 if result.mismatches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
