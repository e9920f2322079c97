"""A server that is let run for a small part of the time only, as on a machine that is overloaded."""

from __future__ import annotations

import threading
from collections.abc import Callable

RUN_S = 0.04
STAND_S = 0.2


class Slow:
    """From `begin` to `end`, in a thread of its own; at the end the server runs."""

    def __init__(self, suspend: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._suspend = suspend
        self._go_on = go_on
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        assert self._thread is None, "it is slow already"
        self._is_over.clear()
        self._thread = threading.Thread(target=self._run, name="slow server")
        self._thread.start()

    def end(self) -> None:
        """Nothing if it is not slow."""
        thread, self._thread = self._thread, None
        self._is_over.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            while not self._is_over.wait(RUN_S):
                self._suspend()
                self._is_over.wait(STAND_S)
                self._go_on()
        finally:
            self._go_on()
