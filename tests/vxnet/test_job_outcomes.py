"""Every accepted request is finished exactly once on the loop; queue, start and stop are bounded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from vxnet.job import JobDropped, JobPool
from vxnet.loop import new_event_loop

DEADLINE_S = 5.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


def run_until(loop: asyncio.AbstractEventLoop, condition: Callable[[], bool]) -> None:
    deadline = loop.time() + DEADLINE_S

    def look() -> None:
        if condition() or loop.time() > deadline:
            loop.stop()
        else:
            loop.call_later(0.002, look)

    loop.call_soon(look)
    loop.run_forever()
    assert condition(), "it did not happen in time"


class Work:
    """Doubles numbers. 13 fails; 0 waits until the gate opens. Notes which thread did what."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int = 1, queue_max: int = 100) -> None:
        self.gate = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.initialised: list[threading.Thread] = []
        self.released: list[threading.Thread] = []
        self.finished: list[tuple[int, int | Exception]] = []
        self.finish_threads: set[threading.Thread] = set()
        self.pool: JobPool[threading.Thread, int, int] = JobPool(
            loop, threads, self.init, self.work, self.finish, self.release, queue_max
        )

    def init(self) -> threading.Thread:
        self.initialised.append(threading.current_thread())
        return threading.current_thread()

    def work(self, state: threading.Thread, request: int) -> int:
        assert state is threading.current_thread()
        if request == 0:
            self.waiting.release()
            assert self.gate.wait(DEADLINE_S)
        if request == 13:
            raise ValueError("unlucky")
        return request * 2

    def finish(self, request: int, outcome: int | Exception) -> None:
        self.finish_threads.add(threading.current_thread())
        self.finished.append((request, outcome))

    def release(self, state: threading.Thread) -> None:
        assert state is threading.current_thread()
        self.released.append(state)

    def occupy(self) -> None:
        """Put the worker into a request that waits for the gate."""
        assert self.pool.submit(0)
        assert self.waiting.acquire(timeout=DEADLINE_S)

    def dropped(self) -> list[int]:
        return [request for request, outcome in self.finished if isinstance(outcome, JobDropped)]


def test_results_come_in_order_on_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop)
    work.pool.start()
    assert all(work.pool.submit(number) for number in range(1, 11))
    run_until(loop, lambda: len(work.finished) == 10)
    assert work.finished == [(number, number * 2) for number in range(1, 11)]
    assert work.finish_threads == {threading.current_thread()}
    assert work.pool.pending == 0
    assert work.pool.stop(drain=True, deadline_s=DEADLINE_S) == 0


def test_each_worker_has_its_own_state_from_init_to_release(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop, threads=3)
    work.pool.start()
    assert len(set(work.initialised)) == 3
    for number in range(20, 60):
        work.pool.submit(number)
    work.pool.stop(drain=True, deadline_s=DEADLINE_S)
    assert sorted(request for request, _ in work.finished) == list(range(20, 60))
    assert set(work.released) == set(work.initialised)


def test_an_exception_is_an_outcome(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop)
    work.pool.start()
    work.pool.submit(13)
    work.pool.submit(1)
    run_until(loop, lambda: len(work.finished) == 2)
    assert [type(outcome) for _, outcome in work.finished] == [ValueError, int]
    work.pool.stop(drain=True, deadline_s=DEADLINE_S)


def test_full_queue_refuses(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop, queue_max=2)
    work.pool.start()
    work.occupy()
    assert [work.pool.submit(number) for number in (1, 2, 3)] == [True, True, False]
    assert work.pool.pending == 3
    work.gate.set()
    run_until(loop, lambda: len(work.finished) == 3)
    assert work.pool.submit(4)
    work.pool.stop(drain=True, deadline_s=DEADLINE_S)
    assert [request for request, _ in work.finished] == [0, 1, 2, 4]


def test_stop_with_drain_does_all_that_is_queued(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop)
    work.pool.start()
    work.occupy()
    for number in range(1, 6):
        work.pool.submit(number)
    work.gate.set()
    assert work.pool.stop(drain=True, deadline_s=DEADLINE_S) == 0
    assert work.finished == [(number, number * 2) for number in range(6)]
    assert not work.pool.submit(6)
    assert len(work.released) == 1


def test_stop_without_drain_drops_the_queue_and_says_so(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop)
    work.pool.start()
    work.occupy()
    for number in range(1, 4):
        work.pool.submit(number)
    threading.Timer(0.05, work.gate.set).start()
    assert work.pool.stop(drain=False, deadline_s=DEADLINE_S) == 3
    assert (0, 0) in work.finished
    assert work.dropped() == [1, 2, 3]


@pytest.mark.filterwarnings("error")  # an exception in a worker thread is only a warning otherwise
def test_stuck_worker_does_not_hold_up_the_stop(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop)
    work.pool.start()
    work.occupy()
    work.pool.submit(1)
    started_at = time.monotonic()
    assert work.pool.stop(drain=True, deadline_s=0.05) == 2
    assert time.monotonic() - started_at < DEADLINE_S / 2
    assert work.dropped() == [0, 1]
    work.gate.set()
    work.initialised[0].join(DEADLINE_S)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert len(work.finished) == 2, "a dropped request was finished once more"
    assert len(work.released) == 1


def test_failed_init_stops_the_start(loop: asyncio.AbstractEventLoop) -> None:
    released: list[int] = []
    numbers = iter(range(3))

    def init() -> int:
        number = next(numbers)
        if number == 1:
            raise OSError("no database")
        return number

    pool: JobPool[int, int, int] = JobPool(
        loop, 3, init, lambda state, request: request, lambda request, outcome: None, released.append, 10
    )
    with pytest.raises(OSError, match="no database"):
        pool.start()
    assert sorted(released) == [0, 2]
    assert not pool.submit(1)


def test_many_outcomes_wake_the_loop_together(loop: asyncio.AbstractEventLoop) -> None:
    work = Work(loop, threads=2, queue_max=5000)
    work.pool.start()
    for number in range(14, 3014):
        assert work.pool.submit(number)
    run_until(loop, lambda: len(work.finished) == 3000)
    assert {request for request, _ in work.finished} == set(range(14, 3014))
    work.pool.stop(drain=True, deadline_s=DEADLINE_S)
