"""A gap in the topic, filled from the history: its deals in order, before what comes after them.

    thread: has the history come past the gap? --page--> queue of one page --> poll, some at a time --> owner
              '-- not yet, or away: again, for at most `wait_s`, then what is not there stays missing

The owner's loop goes on meanwhile: a look takes no longer than one into an empty feed. What is missing in
the history too is counted, and the first runs of it are named.

Not here: what a deal does, and which position it is saved with.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from marketprice.deal_history import DealHistory, HistoryAway, Page

RETRY_S: Final = 0.5
PUT_S: Final = 0.2
"""How soon the thread notices that nobody wants its pages any more."""

STOP_S: Final = 2.0
RUNS_NAMED: Final = 5

_T = TypeVar("_T")
_log = logging.getLogger("vx.marketprice.gap")


class Gap(msgspec.Struct, frozen=True):
    """The numbers `first` to `last`; `sequence`: of the record of the deal after them, or 0."""

    first: int
    last: int
    sequence: int = 0


class GapFill:
    """Fills one gap. `wait_s`: how long a history that is away, or has not come so far, is waited for.

    `trouble`: why it does not go on; `is_done`: all that can be had was given out. `stopping` is set when
    nobody wants the rest any more.
    """

    def __init__(self, history: DealHistory, gap: Gap, wait_s: float) -> None:
        self.gap = gap
        self.trouble: str | None = None
        self.is_done = False
        self.missing = 0  # deals
        self._runs: list[str] = []
        self._next_id = gap.first
        self._page: list[tuple[int, str]] = []
        self._given = 0  # of that page
        self._pages: queue.Queue[Page | None] = queue.Queue(maxsize=1)
        self._fault: Exception | None = None  # ours, in the thread
        self.stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._fetch_safely, args=(history, wait_s), name="gap", daemon=True
        )
        self._thread.start()

    @property
    def missing_text(self) -> str:
        """Which deals are not to be had: `11-30, 44`; empty: none."""
        return ", ".join(self._runs[:RUNS_NAMED] + [".."] * (len(self._runs) > RUNS_NAMED))

    def poll(self, limit: int) -> list[tuple[int, str]]:
        """The next deals, at most `limit`; never waits."""
        if self._given == len(self._page) and not self.is_done:
            self._turn()
        found = self._page[self._given : self._given + limit]
        self._given += len(found)
        return found

    def close(self) -> None:
        """Ends the thread."""
        self.stopping.set()
        self._thread.join(STOP_S)

    def _turn(self) -> None:
        """To the next page, if it has come."""
        try:
            page = self._pages.get_nowait()
        except queue.Empty:
            return
        if self._fault is not None:
            raise self._fault
        if page is None:
            self._expect(self.gap.last + 1)
            self.is_done = True
            return
        self._page, self._given = page.deals, 0
        for deal_id, _ in self._page:
            self._expect(deal_id)
            self._next_id = deal_id + 1

    def _expect(self, deal_id: int) -> None:
        """What lies before this one and was not there is missing."""
        if deal_id > self._next_id:
            self.missing += deal_id - self._next_id
            if len(self._runs) <= RUNS_NAMED:
                first, last = self._next_id, deal_id - 1
                self._runs.append(f"{first}-{last}" if last > first else f"{first}")

    # -- in the thread -------------------------------------------------------------------------

    def _fetch_safely(self, history: DealHistory, wait_s: float) -> None:
        try:
            self._fetch(history, wait_s)
        except Exception as error:
            self._fault = error  # the owner's loop dies of it
        finally:
            self._put(None)
            history.close()

    def _fetch(self, history: DealHistory, wait_s: float) -> None:
        before, first = self.gap.last + 1, self.gap.first
        patience = _Patience(self, f"{history} has not come to deal {before}", wait_s)
        while not patience.ask(lambda: history.has_come_to(self.gap.sequence, before)):
            if not patience.goes_on():
                break  # what is there is taken all the same
        while first < before and not self.stopping.is_set():
            page = patience.ask(functools.partial(history.page, first, before))
            if page is not None:
                self._put(page)
                first = page.next_id
            elif not patience.goes_on():
                return

    def _put(self, page: Page | None) -> None:
        while not self.stopping.is_set():
            try:
                self._pages.put(page, timeout=PUT_S)
            except queue.Full:
                continue
            return


class _Patience:
    """How long is tried again what does not succeed. For the thread of `fill`, whose `trouble` it tells."""

    def __init__(self, fill: GapFill, behind: str, wait_s: float) -> None:
        self._fill = fill
        self._behind = behind
        self._wait_s = wait_s
        self._since_s: float | None = None  # the first failure of those in a row

    def ask(self, question: Callable[[], _T]) -> _T | None:
        """The answer; None if there is none now."""
        try:
            answer = question()
        except HistoryAway as error:
            self._fail(str(error))
            return None
        if answer:
            self._since_s = self._fill.trouble = None
        else:
            self._fail(self._behind)
        return answer

    def goes_on(self) -> bool:
        """After a pause: whether to try again."""
        assert self._since_s is not None, "something failed"
        if time.monotonic() - self._since_s >= self._wait_s:
            _log.critical("%s; it is waited for no longer", self._fill.trouble)
            return False
        return not self._fill.stopping.wait(RETRY_S)

    def _fail(self, what: str) -> None:
        if self._since_s is None:
            self._since_s = time.monotonic()
            _log.warning("%s; deals %d to %d wait for it", what, self._fill.gap.first, self._fill.gap.last)
        self._fill.trouble = what
