"""One timer keeps the deadlines of all: none early, none forgotten, those that move away cost nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from vxnet.loop import EventLoop, new_event_loop
from vxutils.ws.deadlines import NO_SLOT, Deadlines

TICK_S = 0.01


class One:
    """Due once at `at`."""

    def __init__(self, at: float) -> None:
        self.slot = NO_SLOT
        self.at = at
        self.looks: list[float] = []
        self.on_look: Callable[[], None] | None = None

    def look(self, now: float) -> float:
        self.looks.append(now)
        if self.on_look is not None:
            self.on_look()
        return self.at if now < self.at else math.inf


def run(loop: EventLoop, seconds: float) -> None:
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def test_deadlines() -> None:
    loop = new_event_loop()
    deadlines = Deadlines(loop, TICK_S)
    deadlines.start()
    now = loop.time()
    due = [One(now + 0.001 * step) for step in range(0, 100, 7)]
    later, forgotten, moved, sooner = One(now + 60), One(now + 0.05), One(now + 0.08), One(now + 0.05)
    for one in (*due, later, forgotten):
        deadlines.by(one, one.at)
    deadlines.by(moved, now + 0.02)  # looked at then in vain
    deadlines.by(sooner, now + 60)
    deadlines.by(sooner, now + 0.05)
    deadlines.forget(forgotten)
    first, second = One(now + 0.05), One(now + 0.05)
    first.on_look = lambda: deadlines.forget(second)
    second.on_look = lambda: deadlines.forget(first)
    deadlines.by(first, first.at)
    deadlines.by(second, second.at)
    run(loop, 0.2)
    for one in (*due, sooner):
        assert len(one.looks) == 1 and one.looks[0] >= one.at
    assert not later.looks and not forgotten.looks
    assert len(moved.looks) == 2 and moved.looks[1] >= moved.at
    assert len(first.looks) + len(second.looks) == 1, "what one look ends is not looked at any more"
    assert [one.slot == NO_SLOT for one in (due[0], later)] == [True, False]
    deadlines.stop()
    loop.close()


def test_a_loop_that_stood_still_is_not_the_clients_silence() -> None:
    loop = new_event_loop()
    deadlines = Deadlines(loop, TICK_S)
    deadlines.start()
    one = One(loop.time() - 1)
    deadlines.by(one, one.at)
    time.sleep(2 * TICK_S)
    deadlines._looked_at -= 10  # as if the last tick had been that long ago
    deadlines._tick()
    assert not one.looks, "what it has sent is read first"
    deadlines._looked_at -= 10
    deadlines._tick()
    assert one.looks, "but a loop that is always late keeps its deadlines"
    deadlines.stop()
    loop.close()
