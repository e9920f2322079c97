"""Measures the engine on this machine: `python -m bench`, which `make bench` runs.

    the disk   ->  commit times of the journal's disk
    the load   ->  a matrix of modes, durabilities and windows, each on a fresh engine
    the replay ->  the sample flow, and the flow given by --flow or VX_FLOW, each pass checked
    the memory ->  only with --memory: minutes of pairs, and bytes per resting order

Prints tables; every run is also one JSON line in a file of bench/results. Exit code 1 when a replay
differs, memory is not flat, or a run fails; slowness alone is never a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import commit, http, memory, runs
from bench.engine import EngineError
from bench.flow import FlowError, read_flow
from bench.replay import SHOWN_MISMATCHES_MAX, replay_fresh
from bench.replay_client import ReplayError

BENCH = Path(__file__).resolve().parent
SAMPLE_FLOW = BENCH / "sample_flow"
RESULTS = BENCH / "results"
MEMORY_SECONDS = 600.0

Record = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> int:
    """Runs what was asked for; the exit code."""
    options = _parser().parse_args(arguments)
    place: Path = options.directory
    place.mkdir(parents=True, exist_ok=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S.jsonl", time.gmtime())
    with path.open("a", encoding="ascii") as file:

        def record(result: dict[str, Any]) -> None:
            file.write(json.dumps(result) + "\n")
            file.flush()

        try:
            record(_environment())
            if options.memory is not None:
                good = _memory(place, options.memory, record)
            else:
                _commit(place, record)
                _load(place, options.seconds, options.only, record)
                if not options.only:
                    http.main(["--seconds", str(int(options.seconds))])
                good = _replays(place, options.flow, record)
        except (runs.RunError, EngineError, FlowError, ReplayError, OSError) as error:
            print(f"bench: {error}", file=sys.stderr)
            good = False
    print(f"\nresults: {path}")
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the engine here.")
    add = parser.add_argument
    add("--seconds", type=float, default=10, help="of each load run (default 10)")
    add("--only", default="", help="only the load runs whose name contains this")
    add("--flow", type=Path, default=os.environ.get("VX_FLOW"), help="a recorded flow (or VX_FLOW)")
    add("--directory", type=Path, default=RESULTS, help="where data directories are made and removed")
    add(
        "--memory",
        type=float,
        nargs="?",
        const=MEMORY_SECONDS,
        metavar="SECONDS",
        help=f"only memory: pairs for so long (default {MEMORY_SECONDS:g}), bytes per resting order",
    )
    return parser


def _environment() -> dict[str, Any]:
    """What figures depend on; the load average says whether the machine was quiet."""
    environment = {
        "kind": "environment",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
    print("  ".join(f"{name} {value}" for name, value in environment.items() if name != "kind"))
    return environment


def _commit(place: Path, record: Record) -> None:
    print("\nCommit of one page")
    for result in commit.measure(place):
        record({"kind": "commit", **result})
        figures = {name: value for name, value in result.items() if name not in ("variant", "rounds")}
        print(f"  {result['variant']:<44}" + "".join(f"{name} {value}   " for name, value in figures.items()))


def _load(place: Path, seconds: float, only: str, record: Record) -> None:
    print(f"\nLoad, {seconds:g} s each\n{runs.heading()}")
    for run in runs.MATRIX:
        if only in run.name:
            result = runs.measure(run, place, seconds)
            record(result)
            print(runs.row(result), flush=True)


def _replays(place: Path, flow: Path | None, record: Record) -> bool:
    """Each flow twice: pipelined for speed, and with every maker queried after each take."""
    print("\nReplay of recorded flow, one client")
    good = True
    for directory in (SAMPLE_FLOW, flow):
        if directory is None:
            continue
        commands = read_flow(Path(directory))
        for verify in (False, True):
            result = replay_fresh(commands, place, "group", verify=verify)
            line = result.line()
            record({"kind": "replay", "flow": Path(directory).name, "verify": verify, **line})
            print(f"  {Path(directory).name}{' --verify' if verify else ''}: {json.dumps(line)}", flush=True)
            for mismatch in result.mismatches[:SHOWN_MISMATCHES_MAX]:
                print(f"    MISMATCH {mismatch}")
            good = good and not result.mismatches
    return good


def _memory(place: Path, seconds: float, record: Record) -> bool:
    print("\nMemory per resting order")
    orders = memory.per_order(place)
    record(orders)
    print(f"  bytes per order in each step: {orders['bytes_per_order']}, spread {orders['spread']}")
    print(f"\nMemory over {seconds:g} s of pairs, durability group")
    result = memory.flat(place, seconds)
    record(result)
    print(
        f"  {result['ok_per_s']} requests/s, p99 {result['lat_us']['p99']} us, "
        f"longest turn {result['longest_turn_us']} us\n"
        f"  RSS {result['rss_middle_bytes'] / 1e6:.2f} MB in the second third, "
        f"{result['rss_last_bytes'] / 1e6:.2f} MB in the last: {'flat' if result['flat'] else 'NOT FLAT'}"
    )
    return bool(result["flat"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
