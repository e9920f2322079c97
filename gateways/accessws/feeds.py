"""The recorder's messages, taken from their feeds and given to who pushes them.

    orders, deals, balances --poll--> messages --> takers        in the order of each topic

A feed resynchronises by itself from the table when it was lapped. One whose next messages are gone, or
whose history was restored from another time, is opened anew at the end: that is counted, logged as fatal,
and told to the owner, because something was missed.

Source: protocol.md 5.1, 5.3, 9.8; 12.6 number 92.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from gateways.accessws.counters import Counters
from gateways.accessws.sources import Feed
from vxutils.store.embedded.feed import FeedBroken
from vxutils.store.embedded.schema import Message

MESSAGES_PER_POLL: Final = 1_000
"""Of one topic: some 5 ms of work."""

Open = Callable[[str], Feed]
Take = Callable[[list[Message]], None]

_log = logging.getLogger("vx.accessws.feeds")


class Feeds:
    """The feeds of a worker.

    `open_feed` opens the one of a topic at its end; `takers` are by topic; `lost` is told of a topic that was
    opened anew.
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
        self.sequence = 0
        """Of the newest message taken."""

    def start(self) -> None:
        for topic in self._takers:
            self._feeds[topic] = self._open(topic)
            self._counters.messages[topic] = 0

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
        self._feeds[topic] = self._open(topic)
        self._counters.lost[topic] = self._counters.lost.get(topic, 0) + 1
        self._lost(topic)
