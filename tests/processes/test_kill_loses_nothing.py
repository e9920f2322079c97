"""kill -9 of the worker while clients send without pause: what was acknowledged is there, exactly once.

The moments are random; a failure prints the seed, and VX_SEED chooses it.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.processes.crashing import (
    check_updates_are_repeats,
    crash_config,
    kill_and_await_birth,
    stop_and_prove,
)
from tests.support.crash_client import CrashClient, Request
from tests.support.processes import EngineProcess

BIRTH_SECONDS_MAX = 5.0  # the promise is 1 s; a loaded machine must not fail the test
# How long each worker lives. The third lives past the watchdog's idea of a short life (5 s), so that its
# back-off, which is tested elsewhere, never comes into play.
LOAD_SECONDS_MAX = 1.0  # of a life; it idles before
LIVES_S = ((0.2, 1.0), (0.2, 1.0), (5.0, 5.6), (0.2, 1.0), (0.2, 1.0))


def outcomes(answered: list[tuple[Request, Any]]) -> dict[int, int]:
    """How many replies had which error code (0: success)."""
    return dict(Counter(reply["error"]["code"] if reply["error"] else 0 for _, reply in answered))


def kill_and_check(directory: Path, lives_s: list[float], seed: int) -> None:
    client = CrashClient(seed)
    print(f"VX_SEED={seed}")
    with EngineProcess(directory, crash_config(), watchdog=True) as engine:
        born = time.monotonic()
        for life_s in lives_s:
            known = len(client.acknowledged)
            births_s: list[float] = []

            def strike(into: list[float] = births_s) -> None:
                into.append(kill_and_await_birth(engine))

            time.sleep(max(0.0, life_s - LOAD_SECONDS_MAX))
            remaining_s = max(0.2, life_s - (time.monotonic() - born))
            client.run(engine.address(), remaining_s, strike)
            born = time.monotonic()
            engine.wait_ready()
            ready_s = time.monotonic() - born
            new = client.acknowledged[known:]
            updates = check_updates_are_repeats(engine, new)
            print(
                f"lived {life_s:.2f} s, {outcomes(new)} ({updates} updates); "
                f"forked after {births_s[0] * 1000:.0f} ms, ready {ready_s * 1000:.0f} ms later"
            )
            assert births_s[0] < BIRTH_SECONDS_MAX
        truth = stop_and_prove(engine, client)
        assert sorted(set(truth.epochs)) == list(range(1, len(lives_s) + 1)), "each start is an epoch"


def test_five_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6)))
    moments = random.Random(seed)
    kill_and_check(tmp_path, [moments.uniform(*bounds) for bounds in LIVES_S], seed)


@pytest.mark.soak
def test_fifty_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("VX_SEED", random.SystemRandom().randrange(10**6)))
    moments = random.Random(seed)
    kill_and_check(tmp_path, [moments.uniform(5.0, 6.0) for _ in range(50)], seed)
