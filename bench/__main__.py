"""Measures the engine on this machine: `python -m bench`, which `make bench` runs.

    the disk   ->  commit times of the journal's disk
    the load   ->  a matrix of modes, durabilities and windows, each on a fresh engine
    the replay ->  the sample flow, and the flow given by --flow or VX_FLOW, each pass checked
    the state  ->  many resting orders: memory, slices, starts, latency while a slice is made; small here,
                   whole with --state and --restart
    the rest   ->  trades at a constant rate through the whole back-end; short here, with --sustained as long
                   and fast as it says
    full stack ->  only with --full-stack: the same with MariaDB, Redis and Kafka, gateways included
    websockets ->  only with --latency, --fanout, --idle: from a trade to its pushes, many subscribers of many
                   markets, and very many connections that do nothing
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

from bench import commit, fanout, full_stack, http, idle, latency, memory, restart, runs, state, sustained
from bench.flow import FlowError, read_flow
from bench.light_client import LightClientError
from bench.process import ServiceError
from bench.replay import SHOWN_MISMATCHES_MAX, replay_fresh
from bench.replay_client import ReplayError

BENCH = Path(__file__).resolve().parent
SAMPLE_FLOW = BENCH / "sample_flow"
RESULTS = BENCH / "results"
MEMORY_SECONDS = 600.0

# What `make bench` can afford of the long ones.
SMALL_STATE_ORDERS = 100_000
SMALL_STATE_SECONDS = 3.0
SMALL_RESTART_ORDERS = (0, 10_000, 100_000)
SMALL_SUSTAINED_RATES = [2_000.0]
SMALL_SUSTAINED_SECONDS = 20.0

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
            elif options.state is not None:
                good = _state(place, options.state, options.seconds, record)
            elif options.restart:
                good = _restart(place, restart.OPEN_ORDERS, record)
            elif options.sustained:
                good = _sustained(place, options.sustained, options.seconds, record)
            elif options.full_stack:
                good = _full_stack(place, options.full_stack, options.seconds, record)
            elif options.latency or options.fanout is not None or options.idle is not None:
                good = _websockets(place, options, record)
            else:
                good = _all(place, options, record)
        except (runs.RunError, ServiceError, FlowError, ReplayError, LightClientError, OSError) as error:
            print(f"bench: {error}", file=sys.stderr)
            good = False
    print(f"\nresults: {path}")
    return 0 if good else 1


def _all(place: Path, options: argparse.Namespace, record: Record) -> bool:
    """Everything that fits into some minutes; with `only`, just those load runs and the replays."""
    _commit(place, record)
    _load(place, options.seconds, options.only, record)
    if options.only:
        return _replays(place, options.flow, record)
    http.main(["--seconds", str(int(options.seconds))])
    good = [_replays(place, options.flow, record)]
    good.append(_restart(place, SMALL_RESTART_ORDERS, record))
    good.append(_state(place, SMALL_STATE_ORDERS, SMALL_STATE_SECONDS, record))
    good.append(_sustained(place, SMALL_SUSTAINED_RATES, SMALL_SUSTAINED_SECONDS, record))
    return all(good)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the engine here.")
    add = parser.add_argument
    add("--seconds", type=float, default=10, help="of each run (default 10)")
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
    add(
        "--state",
        type=int,
        nargs="?",
        const=state.ORDERS,
        metavar="ORDERS",
        help=f"only a big state of so many resting orders (default {state.ORDERS:,})",
    )
    add("--restart", action="store_true", help="only the times of a start by open orders")
    add(
        "--sustained",
        type=float,
        nargs="+",
        metavar="RATE",
        help="only trades per second through the whole back-end, each rate for --seconds",
    )
    add(
        "--full-stack",
        type=float,
        nargs="+",
        metavar="RATE",
        help="only trades per second through every process on real servers, each rate for --seconds",
    )
    add("--latency", action="store_true", help="only from a trade to its pushes, --rates each for --seconds")
    add(
        "--fanout",
        type=int,
        nargs="?",
        const=fanout.SUBSCRIBERS,
        metavar="SUBSCRIBERS",
        help=f"only pushes to so many subscribers (default {fanout.SUBSCRIBERS:,}), at the first of --rates",
    )
    add(
        "--idle",
        type=int,
        nargs="?",
        const=idle.CONNECTIONS,
        metavar="CONNECTIONS",
        help=f"only so many idle connections (default {idle.CONNECTIONS:,})",
    )
    add("--rates", type=float, nargs="+", metavar="RATE", help="trades per second of --latency and --fanout")
    add("--workers", type=int, default=1, help="workers of the gateway in --fanout (default 1)")
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


def _state(place: Path, orders: int, seconds: float, record: Record) -> bool:
    print(f"\nA state of {orders:,} resting orders")
    result = state.measure(place, orders, seconds)
    record(result)
    print("\n".join(state.lines(result)), flush=True)
    return bool(result["is_good"])


def _restart(place: Path, steps: tuple[int, ...], record: Record) -> bool:
    print("\nStarts by open orders, until the engine serves")
    rows = []
    for row in restart.measure(place, steps):
        record(row)
        rows.append(row)
    print("\n".join([restart.HEADING, *map(restart.line, rows)]), flush=True)
    return all(row["is_good"] for row in rows)


def _sustained(place: Path, rates: list[float], seconds: float, record: Record) -> bool:
    print("\nTrades at a constant rate through engine, recorder, marketprice and readhistory")
    return sustained.run(place, rates, seconds, record)


def _full_stack(place: Path, rates: list[float], seconds: float, record: Record) -> bool:
    print("\nTrades at a constant rate through every process, on MariaDB, Redis and Kafka")
    return full_stack.run(place, rates, seconds, record)


def _websockets(place: Path, options: argparse.Namespace, record: Record) -> bool:
    """Those of the three that were asked for, one after the other."""
    good = True
    if options.latency:
        for rate in options.rates or [latency.RATE]:
            print(f"\n{latency.SUBSCRIBERS} subscribers, {rate:g} trades/s, {options.seconds:g} s")
            result = latency.measure(place, latency.SUBSCRIBERS, rate, options.seconds)
            good = _shown(result, latency.lines(result), record) and good
    if options.fanout is not None:
        rate = (options.rates or [fanout.RATE])[0]
        print(f"\n{options.fanout:,} subscribers of {fanout.MARKETS} markets, {rate:,.0f} trades/s")
        result = fanout.measure(place, options.fanout, fanout.MARKETS, rate, options.seconds, options.workers)
        good = _shown(result, fanout.lines(result), record) and good
    if options.idle is not None:
        print(f"\n{options.idle:,} idle connections")
        result = idle.measure(place, options.idle, options.seconds)
        good = _shown(result, idle.lines(result), record) and good
    return good


def _shown(result: dict[str, Any], lines: list[str], record: Record) -> bool:
    record(result)
    print("\n".join(lines), flush=True)
    return bool(result["is_good"])


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
