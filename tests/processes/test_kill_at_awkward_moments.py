"""kill -9 while a slice is written, while segments switch, during recovery itself; and of the watchdog."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.processes.crashing import (
    births,
    check_updates_are_repeats,
    crash_config,
    kill_and_await_birth,
    stop_and_prove,
)
from tests.support.crash_client import CrashClient
from tests.support.processes import READY, EngineProcess, wait_until

SMALLEST_SEGMENT_BYTES = 64 << 10


def members(group: int) -> list[int]:
    """Pids of the living processes in a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def helper_pid(engine: EngineProcess, name: str) -> int | None:
    """The process of the engine's helper `prepare` or `slice`, if it runs."""
    for pid in members(engine.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if name.encode() in words or f"matchengine {name}".encode() in words:
            return pid
    return None


def ready_address(engine: EngineProcess, worker: int) -> str:
    """Where this worker said that it listens, empty if it did not."""
    for line in engine.stderr.splitlines():
        if f"[{worker}]" in line and READY in line:
            return line.partition(READY)[2].split()[0]
    return ""


def await_birth_after(engine: EngineProcess, worker: int) -> None:
    wait_until(lambda: births(engine)[-1] != worker, "the next worker")


def await_last_worker(engine: EngineProcess) -> None:
    """Waits until the worker that was born last serves, and takes its address."""
    worker = births(engine)[-1]
    wait_until(lambda: bool(ready_address(engine, worker)), "the last worker", timeout_s=20.0)
    while str(engine.address()) != ready_address(engine, worker):
        engine.wait_ready()


def test_while_a_slice_is_written(tmp_path: Path) -> None:
    """Worker, then helper: neither leaves a slice that is not one, nor is anything lost."""
    moments = random.Random(1)
    client = CrashClient(1)
    with EngineProcess(tmp_path, crash_config(), watchdog=True) as engine:
        slices = engine.data_dir / "slices"

        def strike_worker() -> None:
            assert engine.ask_console("makeslice") == "OK\n"
            wait_until(lambda: helper_pid(engine, "slice") is not None, "the slice helper")
            time.sleep(moments.uniform(0, 0.25))
            kill_and_await_birth(engine)
            assert helper_pid(engine, "slice") is None, "the helper outlives its engine"

        for _ in range(2):
            client.run(engine.address(), 0.4, strike_worker)
            engine.wait_ready()

        assert engine.ask_console("makeslice") == "OK\n"
        wait_until(lambda: helper_pid(engine, "slice") is not None, "the slice helper")
        helper = helper_pid(engine, "slice")
        assert helper is not None
        os.kill(helper, signal.SIGKILL)
        wait_until(lambda: "helper slice ended with status -9" in engine.stderr, "the log to tell")
        before = set(slices.glob("*.slice")) if slices.exists() else set()
        assert engine.ask_console("makeslice") == "OK\n"
        wait_until(lambda: slices.exists() and set(slices.glob("*.slice")) > before, "a whole slice")
        wait_until(lambda: not list(slices.glob("*.writing")), "what was left to be removed")
        stop_and_prove(engine, client)


def test_while_segments_switch(tmp_path: Path) -> None:
    """The smallest segments: the journal switches every few hundred records."""
    client = CrashClient(2, window=8)
    with EngineProcess(tmp_path, crash_config(SMALLEST_SEGMENT_BYTES), watchdog=True) as engine:
        for life_s in (1.3, 2.2):
            client.run(engine.address(), life_s, lambda: kill_and_await_birth(engine))
            engine.wait_ready()
            check_updates_are_repeats(engine, client.acknowledged)
        stop_and_prove(engine, client)
        assert len(list((engine.data_dir / "journal").glob("*.journal"))) >= 4


def test_during_recovery_itself(tmp_path: Path) -> None:
    """Workers that die while they replay, repair and open the next epoch; the last one serves it all."""
    moments = random.Random(3)
    client = CrashClient(3, window=64)
    with EngineProcess(tmp_path, crash_config(), watchdog=True) as engine:
        client.run(engine.address(), 2.5, lambda: kill_and_await_birth(engine))
        interrupted = 0
        for _ in range(2):
            worker = births(engine)[-1]
            time.sleep(moments.uniform(0.01, 0.15))
            os.kill(worker, signal.SIGKILL)
            await_birth_after(engine, worker)
            interrupted += not ready_address(engine, worker)
        assert interrupted, "recovery was over before the kill"
        await_last_worker(engine)
        check_updates_are_repeats(engine, client.acknowledged)
        stop_and_prove(engine, client)


def test_of_the_watchdog_leaves_no_orphan(tmp_path: Path) -> None:
    client = CrashClient(4)
    with EngineProcess(tmp_path, crash_config(), watchdog=True) as engine:
        group = engine.pid

        def strike() -> None:
            assert engine.ask_console("makeslice") == "OK\n"
            engine.kill()

        client.run(engine.address(), 0.6, strike)
        wait_until(lambda: not members(group), "worker and helpers to be gone")
        engine.start()
        check_updates_are_repeats(engine, client.acknowledged)
        stop_and_prove(engine, client)


@pytest.mark.parametrize("durability", ["interval", "off"])
def test_in_every_durability_nothing_is_lost_to_kill_9(tmp_path: Path, durability: str) -> None:
    """The kernel has what was written: only a crash of the machine loses what was not synced."""
    client = CrashClient(5)
    config = crash_config().replace("[journal]", f'[journal]\ndurability = "{durability}"')
    with EngineProcess(tmp_path, config, watchdog=True) as engine:
        client.run(engine.address(), 0.4, lambda: kill_and_await_birth(engine))
        engine.wait_ready()
        check_updates_are_repeats(engine, client.acknowledged)
        stop_and_prove(engine, client)
