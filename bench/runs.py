"""One measured run of the load generator against a fresh engine, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from bench.engine import Durability, Engine, WireStyle
from bench.workload import Mode

RUN_MARGIN_S = 60  # beside the measured seconds: credits, building packets, a slow machine


class LoadRun(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix. `rate` requests per second of all connections; 0 = closed loop."""

    mode: Mode = "mix"
    connections: int = 16
    window: int = 64
    durability: Durability = "group"
    wire_style: WireStyle = "plain"
    rate: int = 0

    @property
    def name(self) -> str:
        loop = f"{self.rate}/s" if self.rate else f"{self.connections}x{self.window}"
        style = "" if self.wire_style == "plain" else f" {self.wire_style}"
        return f"{self.mode} {loop} {self.durability}{style}"


MATRIX = (
    LoadRun(),
    LoadRun(durability="interval"),
    LoadRun(durability="off"),
    LoadRun(wire_style="viabtc"),
    LoadRun(mode="pairs"),
    LoadRun(mode="pairs", durability="off"),
    LoadRun(connections=1, window=1),
    LoadRun(connections=1, window=1, durability="off"),
    LoadRun(rate=5_000),
    LoadRun(rate=20_000),
)


class RunError(Exception):
    """The load generator failed; the text is what it said."""


def generate(engine: Engine, seconds: float, *options: str) -> dict[str, Any]:
    """The result line of one run of bench.load against a running engine. Raises: RunError."""
    process = start_load(engine, *options)
    try:
        output, errors = process.communicate(timeout=seconds + RUN_MARGIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise RunError(f"the load generator did not end in time: {errors}") from None
    return load_result(process.returncode, output, errors)


def start_load(engine: Engine, *options: str) -> subprocess.Popen[str]:
    """Starts bench.load against a running engine; the caller waits for it."""
    command = [sys.executable, "-m", "bench.load", "-a", engine.address, "--pid", str(engine.pid), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def load_result(code: int, output: str, errors: str) -> dict[str, Any]:
    """The result line of an ended bench.load. Raises: RunError."""
    if code:
        raise RunError(f"the load generator ended with {code}: {errors}")
    result: dict[str, Any] = json.loads(output)
    return result


def measure(run: LoadRun, place: Path, seconds: float) -> dict[str, Any]:
    """Starts an engine under `place`, loads it for `seconds`, stops it.

    Raises: RunError, ServiceError, OSError.
    """
    options = ["-m", run.mode, "-c", str(run.connections), "-w", str(run.window), "-t", str(seconds)]
    options += ["-r", str(run.rate)]
    with (
        tempfile.TemporaryDirectory(prefix="load-", dir=place) as directory,
        Engine(Path(directory), run.durability, run.wire_style) as engine,
    ):
        result = generate(engine, seconds, *options)
        longest_turn_us = engine.longest_turn_us()
    return {
        "kind": "load",
        "name": run.name,
        "durability": run.durability,
        "wire_style": run.wire_style,
        **result,
        "longest_turn_us": longest_turn_us,
    }


_HEADINGS = ("run", "ok/s", "orders/s", "cancels/s", "takers/s", "refused", "p50 us", "p99", "p99.9", "max")
_MORE_HEADINGS = ("turn us", "gen cpu", "srv cpu", "RSS MB")
_ROW = "{:<26}" + "{:>10}" * (len(_HEADINGS) + len(_MORE_HEADINGS) - 1)


def heading() -> str:
    """The first line of the table."""
    return _ROW.format(*_HEADINGS, *_MORE_HEADINGS)


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    latency, server = result["lat_us"], result["server"]
    refused = sum(result[name] for name in ("err1", "err3_unavailable", "err10", "err11", "err_other"))
    turn = result["longest_turn_us"]
    return _ROW.format(
        result["name"],
        result["ok_per_s"],
        result["orders_ok_per_s"],
        result["cancels_ok_per_s"],
        result["takers_traded_per_s"],
        refused,
        latency["p50"],
        latency["p99"],
        latency["p999"],
        latency["max"],
        "-" if turn is None else turn,
        result["gen_cpu"],
        server["cpu"],
        round(server["rss_after_bytes"] / 1e6, 1),
    )
