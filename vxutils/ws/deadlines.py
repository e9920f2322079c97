"""The times of all connections, kept by one timer.

    slots:   now | +1 tick | +2 ticks | ...        one set of connections per tick, made when needed
             `-> look(now) of each --> its next deadline --> a later slot

A connection sits in the slot of its next deadline. When it is heard from, its deadline moves away, but it
stays where it is: it is looked at once in vain and then put where it belongs. So a message costs nothing
here, and a tick costs only what is due: with pings each 30 s and ticks of 0.1 s, 1/300 of all connections.
Owns the timer and the slots; what a deadline means is for the connection.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

from vxnet.timer import Timer

NO_SLOT: Final = -1
STALL_TICKS: Final = 5
"""A loop that comes back this late has left its sockets unread."""


class Watched(Protocol):
    """What has deadlines."""

    slot: int
    """Where it sits, kept here; `NO_SLOT` when it is not watched."""

    def look(self, now: float) -> float:
        """Do what is due and return the loop time of the next deadline (inf: none)."""
        ...


class Deadlines:
    """`tick_s` is the precision: nothing is looked at early, nor (by a loop in time) two ticks late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_s: float) -> None:
        self._loop = loop
        self._tick_s = tick_s
        self._slots: dict[int, set[Watched]] = {}
        self._timer = Timer(loop, tick_s, self._tick, repeat=True)
        self._looked_at = 0.0
        self._has_waited = False
        self._next_slot = 0

    def start(self) -> None:
        self._looked_at = self._loop.time()
        self._next_slot = self._slot_of(self._looked_at)
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def by(self, watched: Watched, at: float) -> None:
        """Look at it at `at` or soon after, or earlier if that was asked before."""
        if at == math.inf:
            return
        slot = max(self._slot_of(at), self._next_slot)
        if watched.slot != NO_SLOT:
            if watched.slot <= slot:
                return
            self.forget(watched)
        watched.slot = slot
        self._slots.setdefault(slot, set()).add(watched)

    def forget(self, watched: Watched) -> None:
        """It has no deadline any more."""
        if watched.slot != NO_SLOT:
            sitting = self._slots[watched.slot]
            sitting.remove(watched)
            if not sitting:
                del self._slots[watched.slot]
            watched.slot = NO_SLOT

    def _slot_of(self, at: float) -> int:
        return math.ceil(at / self._tick_s)

    def _tick(self) -> None:
        now = self._loop.time()
        stood_still = now - self._looked_at > STALL_TICKS * self._tick_s
        self._looked_at = now
        if stood_still and not self._has_waited:
            self._has_waited = True  # once: a loop that is always late keeps its deadlines all the same
            return  # what clients sent meanwhile is still unread: that was not their time
        self._has_waited = False
        last = math.floor(now / self._tick_s)
        while self._next_slot <= last:
            # Before the looks, so that a deadline which is due already is put into a slot to come.
            slot = self._next_slot
            self._next_slot += 1
            for watched in list(self._slots.get(slot, ())):
                if watched.slot == slot:  # else one before it has ended it
                    self.forget(watched)
                    self.by(watched, watched.look(now))
