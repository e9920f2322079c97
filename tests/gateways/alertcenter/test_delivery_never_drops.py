"""One outlet over time: at once, then summaries; failures come back; a hanging one holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gateways.alertcenter import delivery as module
from gateways.alertcenter.delivery import Delivery
from gateways.alertcenter.lines import Alert
from gateways.alertcenter.outlets import OutletFailed
from gateways.alertcenter.summary import Message
from vxnet.loop import EventLoop, new_event_loop
from vxnet.timer import Timer


class Taker:
    """An outlet that notes messages; fails while `failures` lasts, and waits for `gate`."""

    name = "taker"

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()

    def send(self, message: Message) -> None:
        self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise OutletFailed("not now")
        self.taken.append(message.count)

    def abort(self) -> None:
        self.gate.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.02)
    monkeypatch.setattr(module, "PAUSE_FIRST_S", 0.02)


def run_until(loop: EventLoop, delivery: Delivery, condition: Callable[[], bool]) -> None:
    """Ticks until the condition holds, at most 10 s."""
    deadline = loop.time() + 10

    def tick() -> None:
        delivery.tick()
        if condition() or loop.time() > deadline:
            loop.stop()

    timer = Timer(loop, 0.005, tick, repeat=True)
    timer.start()
    loop.run_forever()
    timer.stop()
    assert condition()


def test_a_burst_is_one_message_and_what_follows_is_summarised() -> None:
    loop, taker, told = new_event_loop(), Taker(), []
    delivery = Delivery(loop, taker, 0.3, lambda name, time_us: told.append((name, time_us)))
    delivery.start()
    for number in range(5):
        delivery.add(Alert("a", f"x {number}"), 1, number, number)
    run_until(loop, delivery, lambda: taker.taken == [5])
    begun = loop.time()
    for number in range(7):
        delivery.add(Alert("a", "y"), 2, number, 50 + number)
    run_until(loop, delivery, lambda: taker.taken == [5, 14] and delivery.sent == 2)
    assert loop.time() - begun >= 0.2  # not before the interval was over
    assert told == [("taker", 4), ("taker", 56)]
    assert delivery.waiting == 0
    delivery.stop(5)
    loop.close()


def test_failures_are_repeated_with_what_came_since() -> None:
    loop, taker = new_event_loop(), Taker()
    delivery = Delivery(loop, taker, 0.01, lambda name, time_us: None)
    delivery.start()
    taker.failures = 3
    delivery.add(Alert("a", "x"), 1, 0, 0)
    run_until(loop, delivery, lambda: delivery.failed == 2)
    assert delivery.trouble == "not now"
    delivery.add(Alert("a", "y"), 10, 0, 0)
    run_until(loop, delivery, lambda: taker.taken == [11] and delivery.sent == 1)
    assert delivery.failed == 3
    assert not delivery.trouble
    delivery.stop(5)
    loop.close()


def test_a_hanging_outlet_holds_nobody_up_and_loses_nothing() -> None:
    loop, taker = new_event_loop(), Taker()
    delivery = Delivery(loop, taker, 0.01, lambda name, time_us: None)
    delivery.start()
    taker.gate.clear()
    delivery.add(Alert("a", "x"), 1, 0, 0)
    run_until(loop, delivery, lambda: delivery._in_flight is not None)
    for number in range(10_000):
        delivery.add(Alert("a", f"z {number}"), 1, 0, 0)
        delivery.tick()
    assert delivery.waiting == 10_001
    taker.gate.set()
    run_until(loop, delivery, lambda: taker.taken == [1, 10_000])
    delivery.stop(5)
    loop.close()
