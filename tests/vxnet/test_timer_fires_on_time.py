"""A timer fires once or on its grid, can be stopped from anywhere, and does not make up for a stall."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from vxnet.loop import new_event_loop
from vxnet.timer import Timer

DEADLINE_S = 5.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


def run_for(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


class Firings:
    """Counts the calls of a timer and stops the loop (or does something else) at the n-th."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.at: list[float] = []
        self._loop = loop
        self._count = count

    def __call__(self) -> None:
        self.at.append(self._loop.time())
        if len(self.at) == self._count:
            self._loop.stop()


def test_one_shot_fires_once(loop: asyncio.AbstractEventLoop) -> None:
    firings = Firings(loop, 1)
    timer = Timer(loop, 0.02, firings, repeat=False)
    assert (timer.active, timer.remaining) == (False, 0.0)
    started_at = loop.time()
    timer.start()
    assert timer.active
    assert 0 < timer.remaining <= 0.02 + 1e-6  # the loop clock is a float
    loop.run_forever()
    assert firings.at[0] - started_at >= 0.018
    assert (timer.active, timer.remaining) == (False, 0.0)
    run_for(loop, 0.06)
    assert len(firings.at) == 1


def test_repeating_keeps_its_grid(loop: asyncio.AbstractEventLoop) -> None:
    firings = Firings(loop, 10)
    timer = Timer(loop, 0.02, firings, repeat=True)
    started_at = loop.time()
    timer.start()
    loop.run_forever()
    assert timer.active
    assert firings.at[-1] - started_at >= 0.198
    timer.stop()
    run_for(loop, 0.06)
    assert len(firings.at) == 10


def test_stopped_before_it_fires(loop: asyncio.AbstractEventLoop) -> None:
    firings = Firings(loop, 0)
    timer = Timer(loop, 0.02, firings, repeat=True)
    timer.start()
    timer.stop()
    timer.stop()
    assert not timer.active
    run_for(loop, 0.06)
    assert firings.at == []


def test_start_again_counts_from_now(loop: asyncio.AbstractEventLoop) -> None:
    firings = Firings(loop, 0)
    timer = Timer(loop, 0.2, firings, repeat=False)
    timer.start()
    run_for(loop, 0.1)
    timer.start()
    run_for(loop, 0.15)
    assert firings.at == []
    timer.stop()


def test_callback_stops_and_restarts_its_own_timer(loop: asyncio.AbstractEventLoop) -> None:
    calls: list[bool] = []

    def callback() -> None:
        calls.append(timer.active)
        timer.stop()
        if len(calls) == 1:
            timer.start()

    timer = Timer(loop, 0.01, callback, repeat=True)
    timer.start()
    run_for(loop, 0.1)
    assert calls == [True, True]
    assert not timer.active


def test_a_stall_is_not_made_up_for(loop: asyncio.AbstractEventLoop) -> None:
    firings = Firings(loop, 0)
    timer = Timer(loop, 0.1, firings, repeat=True)
    timer.start()
    loop.call_soon(time.sleep, 0.55)
    run_for(loop, 0.56)
    assert len(firings.at) == 1
    timer.stop()
