"""Worker threads for blocking calls, fed from the event loop through one bounded queue.

    loop: submit(request) -> queue -> worker: work(state, request) -> loop: finish(request, outcome)

Each worker owns one state (a database connection, say) from `init` to `release`; it never leaves its
thread. Requests are taken in order; with several workers they finish in any order. When the queue is
full `submit` refuses: the caller decides what that means. This is for rare blocking calls, not for a
hot path: a thread beside a busy Python thread waits milliseconds for the interpreter lock.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger("vx.job")

State = TypeVar("State")
Request = TypeVar("Request")
Result = TypeVar("Result")


class JobDropped(Exception):
    """The outcome of a request which the pool did not finish before it stopped."""


class JobPool(Generic[State, Request, Result]):
    """`threads` workers with a queue of at most `queue_max` waiting requests.

    `init()` makes the state of a worker and `release(state)` ends it, both in the worker's thread;
    `work(state, request)` runs there too. `finish(request, outcome)` runs on the loop exactly once per
    accepted request; its outcome is the result of `work`, or the exception that it raised, or JobDropped.
    All other methods are for the thread of the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        init: Callable[[], State],
        work: Callable[[State, Request], Result],
        finish: Callable[[Request, Result | Exception], None],
        release: Callable[[State], None],
        queue_max: int,
        name: str = "job",
    ) -> None:
        assert threads > 0 and queue_max > 0, "a pool needs threads and room for requests"
        self._loop = loop
        self._init = init
        self._work = work
        self._finish = finish
        self._release = release
        self._queue_max = queue_max
        self._changed = threading.Condition()
        # Guarded by _changed: the queue, what is done, and how far starting and stopping have come.
        self._queue: deque[Request] = deque()
        self._done: deque[tuple[Request, Result | Exception]] = deque()
        self._ready = 0
        self._init_error: BaseException | None = None
        self._stopping = False
        self._abandoned = False
        self._delivery_scheduled = False
        self._working: dict[threading.Thread, Request] = {}
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(1, threads + 1)
        ]

    @property
    def pending(self) -> int:
        """Requests accepted and not yet finished, in work ones included."""
        with self._changed:
            return len(self._queue) + len(self._working) + len(self._done)

    def start(self) -> None:
        """Start the workers; returns when each has its state.

        Raises: what `init` raised in one of them; then all are stopped.
        """
        for thread in self._threads:
            thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready == len(self._threads))
            error = self._init_error
        if error is not None:
            self.stop(drain=False, deadline_s=1.0)
            raise error

    def submit(self, request: Request) -> bool:
        """Queue a request; False, and nothing happens, when the queue is full or the pool stops."""
        with self._changed:
            if self._stopping or len(self._queue) >= self._queue_max:
                return False
            self._queue.append(request)
            self._changed.notify()
        return True

    def stop(self, drain: bool, deadline_s: float) -> int:
        """End the workers and finish every accepted request; how many of them ended as JobDropped.

        Blocks the loop, for at most `deadline_s` seconds. With `drain` the workers do all that is queued
        first, else only what they are at. What is not done by then is dropped, and a worker still stuck in
        a call is left behind (it does not keep the process alive).
        """
        deadline = time.monotonic() + deadline_s
        dropped: list[Request] = []
        with self._changed:
            self._stopping = True
            if not drain:
                dropped.extend(self._queue)
                self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            self._abandoned = True
            dropped.extend(self._working.values())
            dropped.extend(self._queue)
            self._queue.clear()
            self._working.clear()
        self._deliver()
        for request in dropped:
            self._finish(request, JobDropped("the pool stopped before this request was done"))
        if dropped:
            _log.warning("stopped with %d requests dropped", len(dropped))
        return len(dropped)

    def _run(self) -> None:
        try:
            state = self._init()
        except BaseException as error:  # the starter raises it; without this it would wait for ever
            with self._changed:
                self._init_error = error
                self._ready += 1
                self._changed.notify_all()
            return
        with self._changed:
            self._ready += 1
            self._changed.notify_all()
        try:
            while self._work_once(state):
                pass
        finally:
            self._release(state)

    def _work_once(self, state: State) -> bool:
        thread = threading.current_thread()
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            if not self._queue:
                return False
            request = self._queue.popleft()
            self._working[thread] = request
        outcome: Result | Exception
        try:
            outcome = self._work(state, request)
        except Exception as error:  # the edge of the thread: an outcome like any other
            outcome = error
        with self._changed:
            if self._abandoned:
                return False  # dropped meanwhile, and finished as such
            del self._working[thread]
            self._done.append((request, outcome))
            if not self._delivery_scheduled:
                self._delivery_scheduled = True
                self._loop.call_soon_threadsafe(self._deliver)
        return True

    def _deliver(self) -> None:
        with self._changed:
            self._delivery_scheduled = False
            done, self._done = self._done, deque()
        for request, outcome in done:
            self._finish(request, outcome)
