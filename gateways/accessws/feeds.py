"""The recorder's messages, taken from their feeds and given to who pushes them.

    orders, deals, balances --poll--> messages --> takers        in the order of each topic

A feed resynchronises by itself from the table when it was lapped. One whose next messages are gone, or
whose history was restored from another time, is opened anew at the end: that is counted, logged as fatal,
and told to the owner, because something was missed. One that found its end only when clients may have been
here already is told too; a start waits a moment for the ends, so that it does not come to that.

Source: protocol.md 5.1, 5.3, 9.8; 12.6 number 92.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from gateways.accessws.counters import Counters
from gateways.accessws.sources import Feed
from vxutils.store.embedded.feed import FeedBroken
from vxutils.store.embedded.schema import Message

MESSAGES_PER_POLL: Final = 1_000
"""Of one topic: some 5 ms of work."""

PLACE_S: Final = 2.0
"""So long a start waits until it is known where the topics end; brokers on the same host tell in 0.1 s."""

PLACE_PAUSE_S: Final = 0.005

Open = Callable[[str], Feed]
Take = Callable[[list[Message]], None]

_log = logging.getLogger("vx.accessws.feeds")


class Feeds:
    """The feeds of a worker.

    `open_feed` opens the one of a topic at its end; `takers` are by topic; `lost` is told of a topic that was
    opened anew, or found its end late.
    """

    def __init__(
        self,
        open_feed: Open,
        takers: Mapping[str, Take],
        counters: Counters,
        lost: Callable[[str], None],
    ) -> None:
        self._open = open_feed
        self._takers = takers
        self._counters = counters
        self._lost = lost
        self._feeds: dict[str, Feed] = {}
        self._unplaced: set[str] = set()
        self._is_serving = False
        self.sequence = 0
        """Of the newest message taken."""

    def start(self, patience_s: float = 0.0) -> None:
        """Opens all; waits at most `patience_s` until their ends are known, while nobody is served yet."""
        for topic in self._takers:
            self._open_at_end(topic)
            self._counters.messages[topic] = 0
        until = time.monotonic() + patience_s
        while self._unplaced and time.monotonic() < until:
            time.sleep(PLACE_PAUSE_S)
            self.poll()
        self._is_serving = True
        if self._unplaced and patience_s:
            _log.warning(
                "started without knowing where these topics end: %s", ", ".join(sorted(self._unplaced))
            )

    def stop(self) -> None:
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()

    def poll(self) -> int:
        """Take what has come; how many of one topic at most. Costs some microseconds when nothing has."""
        count = 0
        for topic, feed in self._feeds.items():
            try:
                messages = feed.poll(MESSAGES_PER_POLL)
            except FeedBroken as error:
                self._begin_again(topic, feed, error)
                return count  # the others get their turn with the next tick
            if topic in self._unplaced and feed.is_placed:
                self._unplaced.discard(topic)
                if self._is_serving:
                    self._lost(topic)
            if messages:
                count = max(count, len(messages))
                self._counters.messages[topic] += len(messages)
                self.sequence = messages[-1].sequence
                self._takers[topic](messages)
        return count

    @property
    def sources(self) -> dict[str, str]:
        """Where the messages of each topic come from now."""
        return {topic: feed.source for topic, feed in self._feeds.items()}

    def _begin_again(self, topic: str, feed: Feed, error: FeedBroken) -> None:
        _log.critical("%s; user events and deals until now are lost to clients", error)
        feed.close()
        self._open_at_end(topic)
        self._counters.lost[topic] = self._counters.lost.get(topic, 0) + 1
        self._lost(topic)

    def _open_at_end(self, topic: str) -> None:
        feed = self._feeds[topic] = self._open(topic)
        if not feed.is_placed:
            self._unplaced.add(topic)
