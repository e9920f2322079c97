"""Whether memory stays flat, and what one resting order costs.

`flat` trades in pairs for minutes, which leaves the book as it was, and samples the engine's resident
memory. `per_order` rests orders in equal steps and divides: the same bytes in each step, whatever the
size of the book, is what must come out.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine import Engine
from bench.process import process_facts
from bench.runs import RUN_MARGIN_S, RunError, generate, load_result, start_load

SAMPLE_S = 5.0
FLAT_GROWTH_MAX = 0.02  # of the memory, from the second third of the run to the last
DISK_BYTES_PER_S_MAX = 20_000_000  # the journal keeps every request: about 250 bytes of 45,000/s, doubled
ORDERS_PER_STEP = 200_000
STEPS = 5  # the first one also fills the interpreter's own pools, so it is shown but not compared
SETTLE_S = 1.0


def flat(place: Path, seconds: float) -> dict[str, Any]:
    """Loads `pairs` for `seconds` and samples memory. Raises: RunError, ServiceError, OSError."""
    needed = int(seconds * DISK_BYTES_PER_S_MAX)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RunError(f"{place} has {free} bytes free; {seconds:g} s of journal may take {needed}")
    samples: list[int] = []
    with (
        tempfile.TemporaryDirectory(prefix="memory-", dir=place) as directory,
        Engine(Path(directory)) as engine,
    ):
        load = start_load(engine, "-m", "pairs", "-c", "16", "-w", "64", "-t", str(seconds))
        try:
            _sample(engine, load, samples, seconds + RUN_MARGIN_S)
            output, errors = load.communicate()
        finally:
            if load.poll() is None:
                load.kill()
                load.communicate()
        result = load_result(load.returncode, output, errors)
        result["longest_turn_us"] = engine.longest_turn_us()
    return {"kind": "memory", "name": f"pairs {seconds:g} s", **result, **_growth(samples, result["ok"])}


def _sample(engine: Engine, load: subprocess.Popen[str], samples: list[int], seconds_max: float) -> None:
    begin = time.monotonic()
    while load.poll() is None:
        if time.monotonic() - begin > seconds_max:
            raise RunError("the load generator did not end in time")
        try:
            load.wait(SAMPLE_S)
        except subprocess.TimeoutExpired:
            samples.append(process_facts(engine.pid).resident_bytes)
            print(f"  {time.monotonic() - begin:6.0f} s  RSS {samples[-1] / 1e6:8.2f} MB", flush=True)


def _growth(samples: list[int], requests: int) -> dict[str, Any]:
    """Compares the last third of the samples with the one before; the first third is warming up."""
    third = len(samples) // 3
    if not third:
        raise RunError(f"{len(samples)} samples are too few: run for at least {4 * SAMPLE_S:g} s")
    middle, last = median(samples[third : 2 * third]), median(samples[-third:])
    return {
        "rss_samples_bytes": samples,
        "rss_middle_bytes": round(middle),
        "rss_last_bytes": round(last),
        "growth_bytes_per_million_requests": round((last - middle) / (requests / 3) * 1e6),
        "flat": last <= middle * (1 + FLAT_GROWTH_MAX),
    }


def per_order(place: Path) -> dict[str, Any]:
    """Bytes of memory per resting order, as the book grows. Raises: RunError, ServiceError, OSError."""
    bytes_per_order: list[int] = []
    with (
        tempfile.TemporaryDirectory(prefix="memory-", dir=place) as directory,
        Engine(Path(directory)) as engine,
    ):
        generate(engine, 0, "-m", "pairs", "-R", "20000")  # credits, and every path has run once
        before = process_facts(engine.pid).resident_bytes
        for step in range(STEPS):
            result = generate(
                engine, 0, "-m", "rest", "-R", str(ORDERS_PER_STEP), "-n", "-S", str(step + 1), "-c", "16"
            )
            if result["ok"] != ORDERS_PER_STEP:
                raise RunError(f"only {result['ok']} of {ORDERS_PER_STEP} orders rest")
            time.sleep(SETTLE_S)
            after = process_facts(engine.pid).resident_bytes
            bytes_per_order.append(round((after - before) / ORDERS_PER_STEP))
            before = after
    compared = bytes_per_order[1:]
    return {
        "kind": "memory",
        "name": f"rest, {STEPS} steps of {ORDERS_PER_STEP}",
        "bytes_per_order": bytes_per_order,
        "spread": round(max(compared) / min(compared), 2),
    }
