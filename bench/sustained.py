"""Trades at a constant rate through the whole embedded back-end: what falls behind, and is every row there?

    load generator --pairs at a rate--> engine --journal--> recorder, writer --> history.db --> marketprice
                                                            readhistory beside them

Replies are durable. Once a second it is looked how far the recorder is behind; when the load has ended, how
long the rest takes. Then rows and messages are counted against the engine's own counters.

"Keeps up": over the second half of the run the lag grows by less than GROWTH_PART_MAX of what is written.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench.backend import Backend, LagSample
from bench.engine import Engine
from bench.process import ProcessFacts, busy_s
from bench.runs import RUN_MARGIN_S, RunError, load_result, start_load

CONNECTIONS = 4  # an engine is asked by some gateways, each with one connection
TICK_US = 2_000  # of the load generator, which shares the processors with all it measures
WARM_UP_S = 2.0
SAMPLE_S = 1.0
SHOWN_S = 10.0
DRAIN_DEADLINE_PER_S = 20.0  # seconds to drain for each second of load, before it counts as never
DISK_BYTES_PER_TRADE_MAX = 6_000  # journal, history and its log; generously
GROWTH_PART_MAX = 0.02
TRADE_ROWS = 2  # of deals and of orders, for each trade of a pair
USERS = 100
ASSETS = 2

REFUSALS = ("err1", "err3_unavailable", "err10", "err11", "err_other")

_COUNTS = {
    "operlog": "SELECT count(*), max(id) FROM operlog",
    "deals": "SELECT count(*), max(deal_id) FROM deal_history",
    "orders": "SELECT count(*), max(id) FROM order_history",
    "balances": "SELECT count(*), max(id) FROM balance_history",
}
_DEALS_NOT_TWICE = (
    "SELECT count(*) FROM (SELECT deal_id FROM deal_history GROUP BY deal_id"
    " HAVING count(*) <> 2 OR count(DISTINCT side) <> 2)"
)
_MESSAGES = "SELECT topic, count(*), max(offset) + 1 FROM messages GROUP BY topic"


def measure(place: Path, trades_per_s: float, seconds: float) -> dict[str, Any]:
    """One run on a fresh data directory. Raises: RunError, ServiceError, OSError."""
    needed = int(trades_per_s * seconds * DISK_BYTES_PER_TRADE_MAX)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RunError(f"{place} has {free} bytes free; the run may take {needed}")
    with tempfile.TemporaryDirectory(prefix="sustained-", dir=place) as name:
        return measure_in(Path(name), trades_per_s, seconds)


def measure_in(directory: Path, trades_per_s: float, seconds: float) -> dict[str, Any]:
    """As `measure`, in an empty directory, where everything is left."""
    with Backend(Engine(directory), directory) as backend:
        result = _run(backend, trades_per_s, seconds)
    result["history_bytes"] = backend.history.stat().st_size
    result["wrong"] = wrong_rows(backend.history, result["engine"])
    result["is_good"] = not result["wrong"] and not result["refused"] and not result["dropped"]
    return result


def _run(backend: Backend, trades_per_s: float, seconds: float) -> dict[str, Any]:
    before, busy_before_s = backend.facts(), busy_s()
    load = start_load(backend.engine, *load_options(trades_per_s, seconds))
    try:
        samples, memory = _watch(backend, load, seconds + RUN_MARGIN_S)
        output, errors = load.communicate()
    finally:
        if load.poll() is None:
            load.kill()
            load.communicate()
    result = load_result(load.returncode, output, errors)
    after, spent_s = backend.facts(), busy_s() - busy_before_s
    status = backend.engine.status()
    drained_s = _drain(backend, status, seconds)
    refused = sum(result[name] for name in REFUSALS)
    return {
        "kind": "sustained",
        "trades_per_s": trades_per_s,
        "seconds": seconds,
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "ok_per_s": result["ok_per_s"],
        "takers_traded_per_s": result["takers_traded_per_s"],
        "refused": refused,
        "refused_unavailable": result["err3_unavailable"],
        "dropped": result["dropped"],
        "longest_turn_us": status["longest turn us"],
        "lat_us": result["lat_us"],
        **lag_facts(samples, 2 * trades_per_s),
        "drained_s": round(drained_s, 1),
        "memory_bytes": {name: thirds(values) for name, values in memory.items()},
        "cpu": processor_parts(before, after, result["gen_cpu"], spent_s, seconds + WARM_UP_S),
        "engine": {name: status[name] for name in sorted(status) if name.endswith("last ID")},
    }


def _watch(
    backend: Backend, load: subprocess.Popen[str], seconds_max: float
) -> tuple[list[LagSample], dict[str, list[int]]]:
    """Lag and memory, until the load has ended."""
    samples: list[LagSample] = []
    memory: dict[str, list[int]] = {}
    begun = shown = time.monotonic()
    while load.poll() is None:
        now = time.monotonic()
        if now - begun > seconds_max:
            raise RunError("the load generator did not end in time")
        state = backend.recorder.state()
        sample = LagSample(now - begun, state.lag_records, state.lag_us / 1e6)
        samples.append(sample)
        for name, facts in backend.facts().items():
            memory.setdefault(name, []).append(facts.resident_bytes)
        if now - shown >= SHOWN_S:
            behind = state.sequence - backend.deals_taken()
            sizes = "  ".join(f"{name} {values[-1] / 1e6:.0f}" for name, values in memory.items())
            print(
                f"  {sample.at_s:5.0f} s  lag {sample.records:8,} records {sample.seconds:6.2f} s   "
                f"MB: {sizes}   load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            shown = now
            assert behind >= 0, "a deal is a record at least"
        try:
            load.wait(max(0.0, SAMPLE_S - (time.monotonic() - now)))
        except subprocess.TimeoutExpired:
            continue
    return samples, memory


def _drain(backend: Backend, status: dict[str, int], seconds: float) -> float:
    """Until everything is recorded and marketprice has taken every deal; how many seconds that took."""
    begun = shown = time.monotonic()
    deadline = begun + RUN_MARGIN_S + seconds * DRAIN_DEADLINE_PER_S
    while True:
        now = time.monotonic()
        backend.check()
        done, deals = backend.recorder.state().sequence, backend.deals_taken()
        if done >= status["sequence"] and deals >= status["deals last ID"]:
            return now - begun
        if now > deadline:
            raise RunError(f"not drained after {now - begun:.0f} s: record {done}, deal {deals}")
        if now - shown >= SHOWN_S:
            waiting = status["sequence"] - done
            print(f"  draining: {waiting:,} records, {status['deals last ID'] - deals:,} deals", flush=True)
            shown = now
        time.sleep(0.1)


def load_options(trades_per_s: float, seconds: float) -> list[str]:
    """The load generator's, for pairs at a constant rate."""
    options = ["-m", "pairs", "-c", str(CONNECTIONS), "-u", str(USERS), "-t", str(seconds)]
    return [*options, "-W", str(WARM_UP_S), "-r", str(2 * trades_per_s), "-T", str(TICK_US)]


def lag_facts(samples: list[LagSample], records_per_s: float) -> dict[str, Any]:
    """The lag, and by how many records per second it grew in the second half of the run."""
    if len(samples) < 4:
        raise RunError(f"{len(samples)} looks at the lag are too few: run longer")
    half = samples[len(samples) // 2 :]
    quarter = max(1, len(half) // 4)
    first, last = half[:quarter], half[-quarter:]
    grown = median(one.records for one in last) - median(one.records for one in first)
    growth_per_s = grown / (median(one.at_s for one in last) - median(one.at_s for one in first))
    return {
        "lag_records": {
            "p50": median(one.records for one in samples),
            "max": max(one.records for one in samples),
            "end": samples[-1].records,
        },
        "lag_s": {
            "p50": round(median(one.seconds for one in samples), 3),
            "max": round(max(one.seconds for one in samples), 3),
            "end": round(samples[-1].seconds, 3),
        },
        "lag_growth_per_s": round(growth_per_s),
        "keeps_up": growth_per_s < GROWTH_PART_MAX * records_per_s,
    }


def thirds(values: list[int]) -> list[int]:
    """The median of each third: flat is when the last two agree."""
    third = max(1, len(values) // 3)
    return [round(median(part)) for part in (values[:third], values[third : 2 * third], values[-third:])]


def processor_parts(
    before: dict[str, ProcessFacts],
    after: dict[str, ProcessFacts],
    generator: float,
    spent_s: float,
    seconds: float,
) -> dict[str, float]:
    """How much of one processor each took while the load ran, and everything else on this machine."""
    parts = {"generator": generator}
    for name, facts in after.items():
        if name in before:
            parts[name] = (facts.processor_s - before[name].processor_s) / seconds
    parts["others"] = max(0.0, spent_s / seconds - sum(parts.values()))
    return {name: round(part, 2) for name, part in parts.items()}


def wrong_rows(path: Path, engine: dict[str, int]) -> list[str]:
    """What the history lacks, or has too much, in words."""
    trades, orders, operations = (engine[f"{name} last ID"] for name in ("deals", "order", "operlog"))
    deposits = USERS * ASSETS
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found = {name: connection.execute(query).fetchone() for name, query in _COUNTS.items()}
        not_twice = connection.execute(_DEALS_NOT_TWICE).fetchone()[0]
        messages = {topic: (count, end) for topic, count, end in connection.execute(_MESSAGES)}
    finished = found["orders"][0]
    resting = orders - finished
    wanted = {
        "operlog": (operations, operations),
        "deals": (TRADE_ROWS * trades, trades),
        "balances": (found["balances"][1], found["balances"][1]),
    }
    wrong = [f"{name}: {found[name]}, not {pair}" for name, pair in wanted.items() if found[name] != pair]
    if not_twice:
        wrong.append(f"{not_twice} deals are not there once for each side")
    if not 0 <= resting <= CONNECTIONS or finished != TRADE_ROWS * trades:
        wrong.append(f"{finished} finished orders of {orders}, after {trades} trades")
    if operations != orders + deposits:
        wrong.append(f"{operations} operations for {orders} orders and {deposits} deposits")
    for topic, (count, end) in messages.items():
        if count != end:
            wrong.append(f"messages of {topic}: {count}, not {end}")
    # A maker is put and finished, a taker finished at once: three messages for each trade of a pair.
    expected = {"deals": trades, "balances": deposits, "orders": 3 * trades + resting}
    for topic, number in expected.items():
        if messages.get(topic, (0, 0))[0] != number:
            wrong.append(f"messages of {topic}: {messages.get(topic, (0, 0))[0]}, not {number}")
    return wrong


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    lag, lag_s, latency = result["lag_records"], result["lag_s"], result["lat_us"]
    memory = "  ".join(
        f"{name} {' '.join(f'{value / 1e6:.0f}' for value in values)}"
        for name, values in result["memory_bytes"].items()
    )
    processors = "  ".join(f"{name} {part}" for name, part in result["cpu"].items())
    verdict = "keeps up" if result["keeps_up"] else f"lag grows by {result['lag_growth_per_s']} records/s"
    rows = "every row is there" if not result["wrong"] else "; ".join(result["wrong"])
    return [
        f"  {result['trades_per_s']:g} trades/s for {result['seconds']:g} s: "
        f"{result['takers_traded_per_s']}/s traded, {result['refused']} refused, "
        f"{result['dropped']} not sent; p50 {latency['p50']} us, p99 {latency['p99']} us, "
        f"longest turn {result['longest_turn_us']} us",
        f"    {verdict}; lag p50 {lag['p50']:g} records {lag_s['p50']} s, max {lag['max']} records "
        f"{lag_s['max']} s, at the end {lag['end']}; drained in {result['drained_s']} s",
        f"    MB in each third: {memory}",
        f"    processors: {processors}; history {result['history_bytes'] / 1e6:.0f} MB; {rows}",
    ]


def run(place: Path, rates: list[float], seconds: float, record: Callable[[dict[str, Any]], None]) -> bool:
    """Each rate on a fresh back-end; whether nothing was refused or is missing. Raises: as `measure`."""
    results = []
    for rate in rates:
        print(f"{rate:g} trades/s for {seconds:g} s", flush=True)
        result = measure(place, rate, seconds)
        record(result)
        results.append(result)
        print("\n".join(lines(result)), flush=True)
    if len(results) > 1:
        bounded = max((result["trades_per_s"] for result in results if result["keeps_up"]), default=0)
        print(f"the lag stays bounded up to {bounded:g} trades/s")
    return all(result["is_good"] for result in results)
