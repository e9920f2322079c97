"""Load that goes on whoever dies: a thread that trades over HTTP and repeats each command until an answer.

Every command has an idempotency key, so a repeat does nothing twice. Orders cross, fill in part, rest and are
cancelled; at most RESTING_MAX rest at a time, so a book stays within the levels that are shown whole.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from tests.gateways.cli.running import DEADLINE_S
from vxutils.client import Client, ExchangeError, Outcome
from vxutils.protocol.codes import SERVICE_UNAVAILABLE

RESTING_MAX = 40
PAUSE_S = 0.05
OWN_CODES = 10
"""From here on a code is the refusal of its method: no counterpart, an order that is gone."""


class SteadyLoad:
    """Trades for `users` until it is left. `name` keeps the keys of several apart."""

    def __init__(
        self,
        url: str,
        market: str,
        users: Sequence[int],
        seed: int,
        *,
        name: str = "load",
        pause_s: float = 0.0,
    ) -> None:
        self.order_ids: list[int] = []
        """Of each order that was answered with success."""
        self.count = 0
        """Commands answered."""
        self._client = Client(url)
        self._market = market
        self._users = users
        self._random = random.Random(seed)
        self._name = name
        self._pause_s = pause_s
        self._resting: list[tuple[int, int]] = []
        self._failure: BaseException | None = None
        self._is_leaving = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> SteadyLoad:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()
        self._client.close()
        if error is None:
            self.check()

    def stop(self) -> None:
        """Ends with the command under way."""
        self._is_leaving = True
        self._thread.join(2 * DEADLINE_S)
        assert not self._thread.is_alive(), "a command is never answered"

    def check(self) -> None:
        """Raises what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_leaving:
                self._command()
                time.sleep(self._pause_s)
        except BaseException as error:
            self._failure = error

    def _command(self) -> None:
        draw = self._random.random()
        if len(self._resting) >= RESTING_MAX or (draw < 0.2 and self._resting):
            user, order = self._resting.pop(self._random.randrange(len(self._resting)))
            self._call("order.cancel", user, self._market, order)
            return
        user, side = self._random.choice(self._users), self._random.choice((1, 2))
        amount = f"{self._random.randint(10, 500) / 10_000:.4f}"
        if draw < 0.3:
            amount = amount if side == 1 else f"{float(amount) * 50_000:.2f}"
            result = self._call("order.put_market", user, self._market, side, amount, "0.002", "load")
        else:
            price = f"{60_000 + self._random.randint(-30, 60) * (1 if side == 1 else -1)}"
            fees = ("0.002", "0.001", "load")
            result = self._call("order.put_limit", user, self._market, side, amount, price, *fees)
        if result is not None:
            self.order_ids.append(result["id"])
            if draw >= 0.3 and float(result["left"]):
                self._resting.append((user, result["id"]))

    def _call(self, method: str, *params: Any) -> Any:
        """The result, None for a refusal."""
        key = f"{self._name}-{self.count}"
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                result = self._client.call(method, *params, idempotency_key=key)
                break
            except ExchangeError as error:
                is_refused = error.outcome is Outcome.REFUSED and error.code != SERVICE_UNAVAILABLE.code
                if is_refused and error.code >= OWN_CODES:
                    result = None
                    break
                if is_refused or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_S)
        self.count += 1
        return result
