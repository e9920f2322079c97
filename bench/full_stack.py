"""Trades at a constant rate through every process of an exchange on MariaDB, Redis and Kafka, all here.

    load generator --pairs at a rate--> engine --> recorders --> MariaDB, Kafka --> marketprice, gateways

Replies are durable, and so is every commit of the database. Once a second it is looked how far each sink is
behind; when the load has ended, how long the rest takes. Then what the stores hold is compared with what the
journal says. Processor time is counted until all is drained, for each trade: on a machine that does other
things too it says more than latencies do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import recorded
from bench.backend import LagSample
from bench.engine import Engine
from bench.full_backend import MARKETPRICE, SINKS, FullBackend, engine_stores
from bench.process import ProcessFacts, busy_s
from bench.runs import RUN_MARGIN_S, RunError, load_result, start_load
from bench.servers import KAFKA_OPTIONS, Servers, private_servers
from bench.sustained import (
    DRAIN_DEADLINE_PER_S,
    REFUSALS,
    SAMPLE_S,
    SHOWN_S,
    WARM_UP_S,
    lag_facts,
    load_options,
    processor_parts,
    thirds,
)

DISK_BYTES_PER_TRADE_MAX = 20_000  # journal, database with its log, topics; generously
LAG_POINTS = 10  # of the lag over time, in the result


def measure(place: Path, trades_per_s: float, seconds: float) -> dict[str, Any]:
    """One run on fresh servers and a fresh data directory. Raises: RunError, ServiceError, OSError."""
    needed = int(trades_per_s * seconds * DISK_BYTES_PER_TRADE_MAX) + (4 << 30)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RunError(f"{place} has {free} bytes free; the run may take {needed}")
    with tempfile.TemporaryDirectory(prefix="fs-", dir=place) as name:
        return measure_in(Path(name), trades_per_s, seconds)


def measure_in(directory: Path, trades_per_s: float, seconds: float) -> dict[str, Any]:
    """As `measure`, in an empty directory with a short name, where everything is left."""
    with private_servers(directory) as servers:
        return measure_on(servers, directory, trades_per_s, seconds)


def measure_on(servers: Servers, directory: Path, trades_per_s: float, seconds: float) -> dict[str, Any]:
    """As `measure_in`, on servers that run."""
    engine = Engine(directory, stores=engine_stores(servers))
    with FullBackend(engine, servers, directory) as backend:
        result = _run(backend, trades_per_s, seconds)
    result["innodb"] = servers.innodb_settings()
    result["kafka_options"] = list(KAFKA_OPTIONS)
    wanted = recorded.journal_sums(engine.data)
    topics, wrong = recorded.topic_sums(servers)
    found = recorded.mariadb_sums(servers) | topics
    result["rows"] = {name: count for name, (count, _) in found.items()}
    result["wrong"] = wrong + recorded.differences(wanted, found)
    result["is_good"] = not result["wrong"] and not result["refused"] and not result["dropped"]
    return result


def _run(backend: FullBackend, trades_per_s: float, seconds: float) -> dict[str, Any]:
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
    trades = status["deals last ID"]
    return {
        "kind": "full stack",
        "trades_per_s": trades_per_s,
        "seconds": seconds,
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "trades": trades,
        "ok_per_s": result["ok_per_s"],
        "takers_traded_per_s": result["takers_traded_per_s"],
        "refused": sum(result[name] for name in REFUSALS),
        "refused_unavailable": result["err3_unavailable"],
        "dropped": result["dropped"],
        "longest_turn_us": status["longest turn us"],
        "lat_us": result["lat_us"],
        "sinks": {name: _sink(name, of_sink, trades_per_s) for name, of_sink in samples.items()},
        "drained_s": {name: round(at_s, 1) for name, at_s in drained_s.items()},
        "memory_bytes": {name: thirds(values) for name, values in memory.items()},
        "cpu": processor_parts(before, after, result["gen_cpu"], spent_s, seconds + WARM_UP_S),
        "cpu_us_per_trade": us_per_trade(before, backend.facts(), trades),
    }


def _watch(
    backend: FullBackend, load: subprocess.Popen[str], seconds_max: float
) -> tuple[dict[str, list[LagSample]], dict[str, list[int]]]:
    """Lag of each sink and memory, until the load has ended."""
    samples: dict[str, list[LagSample]] = {}
    memory: dict[str, list[int]] = {}
    begun = shown = time.monotonic()
    while load.poll() is None:
        now = time.monotonic()
        if now - begun > seconds_max:
            raise RunError("the load generator did not end in time")
        lags = backend.lags(now - begun)
        for name, sample in lags.items():
            samples.setdefault(name, []).append(sample)
        for name, facts in backend.facts().items():
            memory.setdefault(name, []).append(facts.resident_bytes)
        if now - shown >= SHOWN_S:
            behind = "  ".join(f"{name} {one.records:,} ({one.seconds:.1f} s)" for name, one in lags.items())
            print(f"  {now - begun:5.0f} s  behind: {behind}   load {os.getloadavg()[0]:.1f}", flush=True)
            shown = now
        try:
            load.wait(max(0.0, SAMPLE_S - (time.monotonic() - now)))
        except subprocess.TimeoutExpired:
            continue
    return samples, memory


def _drain(backend: FullBackend, status: dict[str, int], seconds: float) -> dict[str, float]:
    """Until every sink has everything; after how many seconds each had."""
    begun = shown = time.monotonic()
    deadline = begun + RUN_MARGIN_S + seconds * DRAIN_DEADLINE_PER_S
    done: dict[str, float] = {}
    while True:
        backend.check()
        now = time.monotonic()
        reached = {sink: backend.state(sink).sequence >= status["sequence"] for sink in SINKS}
        reached[MARKETPRICE] = backend.last_deal() >= status["deals last ID"]
        for name, has_all in reached.items():
            if has_all:
                done.setdefault(name, now - begun)
        if len(done) == len(reached):
            return done
        if now > deadline:
            raise RunError(f"not drained after {now - begun:.0f} s, only {sorted(done)}")
        if now - shown >= SHOWN_S:
            print(f"  draining: {sorted(reached.keys() - done.keys())} not yet", flush=True)
            shown = now
        time.sleep(0.1)


def _sink(name: str, samples: list[LagSample], trades_per_s: float) -> dict[str, Any]:
    """Its lag; records count twice for a trade, deals of marketprice once."""
    per_s = trades_per_s if name == MARKETPRICE else 2 * trades_per_s
    step = max(1, len(samples) // LAG_POINTS)
    points = [(round(one.at_s), one.records) for one in samples[::step]]
    return {**lag_facts(samples, per_s), "over_time": points}


def us_per_trade(
    before: dict[str, ProcessFacts], after: dict[str, ProcessFacts], trades: int
) -> dict[str, float]:
    """Processor time of each process for each trade, dearest first."""
    spent = {
        name: (facts.processor_s - before[name].processor_s) * 1e6 / max(trades, 1)
        for name, facts in after.items()
        if name in before
    }
    return {name: round(us, 1) for name, us in sorted(spent.items(), key=lambda pair: -pair[1])}


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    latency = result["lat_us"]
    memory = "  ".join(f"{name} {sizes[-1] / 1e6:.0f}" for name, sizes in result["memory_bytes"].items())
    parts = "  ".join(f"{name} {part}" for name, part in result["cpu"].items())
    costs = "  ".join(f"{name} {us:g}" for name, us in result["cpu_us_per_trade"].items())
    rows = "all is there" if not result["wrong"] else "; ".join(result["wrong"])
    shown = [
        f"  {result['trades_per_s']:g} trades/s for {result['seconds']:g} s: "
        f"{result['takers_traded_per_s']}/s traded, {result['refused']} refused, {result['dropped']} not "
        f"sent; p50 {latency['p50']} us, p99 {latency['p99']} us, longest turn {result['longest_turn_us']} us"
    ]
    for name, lag in result["sinks"].items():
        verdict = "keeps up" if lag["keeps_up"] else f"GROWS by {lag['lag_growth_per_s']}/s"
        records, seconds = lag["lag_records"], lag["lag_s"]
        shown.append(
            f"    {name}: {verdict}; behind p50 {records['p50']:g}, max {records['max']} "
            f"({seconds['max']} s), at the end {records['end']}; drained in {result['drained_s'][name]} s"
        )
    return [
        *shown,
        f"    us of processor for each trade: {costs}",
        f"    processors: {parts}",
        f"    MB at the end: {memory}",
        f"    rows and messages: {result['rows']}; {rows}",
        f"    InnoDB: {result['innodb']}",
    ]


def run(place: Path, rates: list[float], seconds: float, record: Callable[[dict[str, Any]], None]) -> bool:
    """Each rate on a fresh stack; whether nothing was refused or is missing. Raises: as `measure`."""
    results = []
    for rate in rates:
        print(f"{rate:g} trades/s for {seconds:g} s", flush=True)
        result = measure(place, rate, seconds)
        record(result)
        results.append(result)
        print("\n".join(lines(result)), flush=True)
    return all(result["is_good"] for result in results)
