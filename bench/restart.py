"""How long a start takes until the engine serves, by the number of its open orders.

    grow --stop, which makes a slice--> start from the slice
         --kill, slices removed--> start from the journal alone --> grow further

The time is that from the start of the process to its ready line: what the system is down for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.engine import Engine
from bench.population import Population, grow, rules
from bench.process import process_facts
from matchengine.recovery import SLICES_DIRECTORY

OPEN_ORDERS = (0, 10_000, 100_000, 1_000_000)
ORDERS_PER_USER = 10
FROM_SLICE_S_MAX = 30.0  # a start that takes longer fails the bench
START_DEADLINE_S = 600.0
NEVER = 1_000_000_000  # records between two slices: the bench says when


def measure(place: Path, steps: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """A row for each number of open orders. Raises: RunError, ServiceError, OSError."""
    population = Population(users=max(1, max(steps) // ORDERS_PER_USER))
    with (
        tempfile.TemporaryDirectory(prefix="restart-", dir=place) as directory,
        engine_for(Path(directory)) as engine,
    ):
        for orders in steps:
            if orders:
                grow(population, orders, (engine.host, engine.port), show)
            records = engine.status()["sequence"]
            engine.stop()
            stopped_bytes = newest_slice(engine).stat().st_size
            from_slice = start(engine)
            resident = process_facts(engine.pid).resident_bytes
            from_journal = start_from_the_journal(engine)
            yield {
                "kind": "restart",
                "orders": orders,
                "users": population.credited,
                "records": records,
                "slice_bytes": stopped_bytes,
                "from_slice_s": from_slice,
                "from_journal_s": from_journal,
                "resident_bytes": resident,
                "is_good": from_slice <= FROM_SLICE_S_MAX,
            }


HEADING = "{:>12}{:>12}{:>12}{:>16}{:>16}{:>12}".format(
    "open orders", "records", "slice MB", "from slice, s", "journal only, s", "RSS MB"
)


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['orders']:>12,}{row['records']:>12,}{row['slice_bytes'] / 1e6:>12.1f}"
        f"{row['from_slice_s']:>16.2f}{row['from_journal_s']:>16.2f}{row['resident_bytes'] / 1e6:>12.0f}"
    )


def engine_for(directory: Path) -> Engine:
    """An engine for a population, whose slices the bench makes."""
    return Engine(directory, rules=rules(), slice_records=NEVER, archive=False)


def start(engine: Engine) -> float:
    """Seconds until it serves. Raises: ServiceError."""
    engine.start(START_DEADLINE_S, show)
    return engine.ready_s


def start_from_the_journal(engine: Engine) -> float:
    """As `start`, after kill -9 and without any slice."""
    engine.kill()
    for path in (engine.data / SLICES_DIRECTORY).glob("*.slice"):
        path.unlink()
    return start(engine)


def newest_slice(engine: Engine) -> Path:
    return max((engine.data / SLICES_DIRECTORY).glob("*.slice"))


def show(text: str) -> None:
    """A line of progress."""
    print(f"  {text}", flush=True)
