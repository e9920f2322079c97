"""A big state: what a slice, a start and memory cost, and whether trading notices that a slice is made.

    population through the engine's door, recorder beside it
      -> memory of engine, recorder, writer
      -> latency with and without a slice being made meanwhile, turn about
      -> kill -9, start from the slice; stop, start of the recorder; start from the journal alone

Slices are made as the recorder has them made: by its helper, at its niceness.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench import runs
from bench.backend import Recorder
from bench.engine import Engine
from bench.population import Population, grow, market_name, stock_name
from bench.process import ServiceError, process_facts
from bench.restart import (
    FROM_SLICE_S_MAX,
    ORDERS_PER_USER,
    START_DEADLINE_S,
    engine_for,
    newest_slice,
    show,
    start,
    start_from_the_journal,
)

ORDERS = 1_000_000
ROUNDS = 3  # of latency, with and without a slice
LOAD_RATE = 5_000
WARM_UP_S = 1.0
RECORDER_NICENESS = 10
TRADES_MARKET = 0


class SliceMade(msgspec.Struct, frozen=True):
    """One run of the helper. `peak_bytes` is its own largest memory."""

    seconds: float
    peak_bytes: int
    slice_bytes: int


def measure(place: Path, orders: int, seconds: float) -> dict[str, Any]:
    """All figures of one big state. Raises: RunError, ServiceError, OSError."""
    with tempfile.TemporaryDirectory(prefix="state-", dir=place) as name:
        directory = Path(name)
        with engine_for(directory) as engine:
            recorder = Recorder(engine, directory)
            try:
                result = _measure(engine, recorder, orders, seconds)
            finally:
                recorder.service.kill()
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    memory = "  ".join(f"{name} {size / 1e6:.0f}" for name, size in result["memory_bytes"].items())
    text = [
        f"  memory, MB: {memory}",
        f"  slice: {result['slice_bytes'] / 1e6:.0f} MB, {result['slice_s']} s with all records executed, "
        f"{result['next_slice_s']} s from the slice before; helper {result['slice_peak_bytes'] / 1e6:.0f} MB",
        f"  start from the slice: {result['from_slice_s']:.2f} s   from the journal alone: "
        f"{result['from_journal_s']:.2f} s ({result['records']:,} records)   recorder: "
        f"{result['recorder_start_s']:.2f} s",
    ]
    for load, sides in result["latency"].items():
        for side, figures in sides.items():
            text.append(
                f"  {load}, {side:<15} p50 {figures['p50']} us, p99 {figures['p99']} us, max {figures['max']}"
                f" us (medians of {ROUNDS} rounds{figures['note']})"
            )
    return text


def _measure(engine: Engine, recorder: Recorder, orders: int, seconds: float) -> dict[str, Any]:
    recorder.service.start()
    population = Population(users=max(1, orders // ORDERS_PER_USER))
    begun = time.monotonic()
    grow(population, orders, (engine.host, engine.port), show)
    built_s = time.monotonic() - begun
    records = engine.status()["sequence"]
    recorder.wait_until_all_is_recorded(records, show)
    show(f"all is recorded, {time.monotonic() - begun:.0f} s after the first request")
    memory = {
        "engine": process_facts(engine.pid).resident_bytes,
        "recorder": process_facts(recorder.service.pid).resident_bytes,
        "writer": process_facts(recorder.writer_pid).resident_bytes,
    }
    made = make_slice(engine)
    show(f"slice made in {made.seconds:.1f} s")
    latency = _latency(engine, seconds)
    again = make_slice(engine)  # the start from it has nothing else to replay
    records = engine.status()["sequence"]
    engine.kill()
    recorder.service.stop()
    from_slice = start(engine)
    memory["engine, from the slice"] = process_facts(engine.pid).resident_bytes
    show(f"the engine started from the slice in {from_slice:.2f} s")
    recorder.service.start(START_DEADLINE_S, show)
    memory["recorder, from the slice"] = process_facts(recorder.service.pid).resident_bytes
    recorder_start_s = recorder.service.ready_s
    show(f"the recorder started from the slice in {recorder_start_s:.2f} s")
    recorder.service.stop()
    from_journal = start_from_the_journal(engine)
    return {
        "kind": "state",
        "orders": orders,
        "users": population.users,
        "records": records,
        "built_s": round(built_s, 1),
        "memory_bytes": memory,
        "slice_s": round(made.seconds, 2),
        "next_slice_s": round(again.seconds, 2),
        "slice_bytes": made.slice_bytes,
        "slice_peak_bytes": made.peak_bytes,
        "latency": latency,
        "from_slice_s": round(from_slice, 2),
        "from_journal_s": round(from_journal, 2),
        "recorder_start_s": round(recorder_start_s, 2),
        "is_good": from_slice <= FROM_SLICE_S_MAX,
    }


# -- slices, beside the engine ---------------------------------------------------------------------


def make_slice(engine: Engine, stopping: threading.Event | None = None) -> SliceMade:
    """One run of the recorder's helper; ended early once `stopping` is set. Raises: ServiceError."""
    words = ["nice", "-n", str(RECORDER_NICENESS), sys.executable, "-m", "matchengine.recorder", "tidy"]
    words += ["--data-dir", str(engine.data), "--sequence", "0", "--slice", "--parent-pid", str(os.getpid())]
    begun = time.monotonic()
    pid = os.posix_spawnp(words[0], words, os.environ)
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        if stopping is not None and stopping.wait(0.05):
            os.kill(pid, signal.SIGKILL)
            stopping = None
        elif stopping is None:
            time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise ServiceError(f"the helper that makes slices ended with {code}")
    newest = newest_slice(engine)
    return SliceMade(time.monotonic() - begun, usage.ru_maxrss * 1024, newest.stat().st_size)


@contextmanager
def _slices_all_the_time(engine: Engine) -> Iterator[list[SliceMade]]:
    """One slice after another is being made while the context lasts."""
    made: list[SliceMade] = []
    stopping = threading.Event()

    def work() -> None:
        while not stopping.is_set():
            made.append(make_slice(engine, stopping))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield made
    finally:
        stopping.set()
        worker.join()


def _latency(engine: Engine, seconds: float) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by load and by whether a slice is being made. Raises: RunError."""
    loads = {
        "one outstanding": ["-c", "1", "-w", "1"],
        f"{LOAD_RATE}/s": ["-c", "16", "-r", str(LOAD_RATE)],
    }
    place = ["-k", market_name(TRADES_MARKET), "-s", stock_name(TRADES_MARKET), "-o", "USD", "-m", "pairs"]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for load, options in loads.items():
        words = [*place, *options, "-t", str(seconds), "-W", str(WARM_UP_S)]
        quiet, beside = [], []
        notes: list[str] = []
        for _ in range(ROUNDS):
            quiet.append(_one(engine, seconds, words))
            with _slices_all_the_time(engine) as made:
                beside.append(_one(engine, seconds, words))
            notes.append(str(len(made) - 1))  # the last one was cut short
        found[load] = {
            "no slice": {**_medians(quiet), "note": ""},
            "slices meanwhile": {**_medians(beside), "note": f"; whole slices in each: {', '.join(notes)}"},
        }
        show(f"latency measured, {load}")
    return found


def _one(engine: Engine, seconds: float, words: list[str]) -> dict[str, Any]:
    result = runs.generate(engine, seconds, *words)
    refused = sum(result[name] for name in ("err1", "err3_unavailable", "err10", "err11", "err_other"))
    if refused or not result["ok"]:
        raise runs.RunError(f"{refused} requests were refused, {result['ok']} were not")
    latency: dict[str, Any] = result["lat_us"]
    return latency


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: median(one[name] for one in rounds) for name in ("p50", "p99", "max")}
