"""The deals from Kafka: as the recorder's feed, for a process that may be on another host.

    KafkaFeed --> in order, each once --> owner
       '--> broken: gone, or made anew --> from the oldest message on, past the deals that are known

Deals are numbered without gaps, whatever becomes of the topic. So behind each beginning the numbers tell what
is known already, which is passed over, and what is missing, which is an alarm that names it: candles go on
without it. They can be made again where there is a history (`vx candles rebuild`).

Not here: what a deal does.

Source: protocol.md 5.3, 6.2; 12.3 (the first message, and an offset that is out of range).
"""

from __future__ import annotations

import logging

from marketprice.messages import BadMessage, decode_deal
from marketprice.persistence import Position
from vxnet.clock import Clock
from vxutils.store.embedded.feed import FeedBroken
from vxutils.store.embedded.schema import Message
from vxutils.store.kafka.consumer import KafkaFeed
from vxutils.store.kafka.settings import ConsumerSettings

_log = logging.getLogger("vx.marketprice.feed")


class KafkaDeals:
    """The deals behind `position`, whose last one has the number `last_id` (0: none is known).

    `gaps` counts how often deals were missing, or the topic another one.
    """

    def __init__(self, settings: ConsumerSettings, position: Position, last_id: int, clock: Clock) -> None:
        self.gaps = 0
        self._settings = settings
        self._clock = clock
        self._last_id = last_id
        self._is_new = True  # whether the next deal is the first one after a beginning
        self._last = ""  # the latest message given out
        self._before = 0  # messages taken from feeds before this one
        self._feed = KafkaFeed(settings, position.offset + 1, known=position.digest, clock=clock)

    @property
    def source(self) -> str:
        return self._feed.source

    @property
    def trouble(self) -> str | None:
        return self._feed.trouble

    @property
    def taken(self) -> dict[str, int]:
        """Messages by where they came from."""
        return {source: self._before + count for source, count in self._feed.taken.items()}

    def poll(self, limit: int) -> list[Message]:
        """The next messages, at most `limit`; never waits."""
        try:
            found = self._feed.poll(limit)
        except FeedBroken as error:
            self._begin_again(error)
            return []
        if self._is_new:
            found = [message for message in found if not self._is_new or self._meet(message)]
        if found:
            self._last = found[-1].payload
        return found

    def close(self) -> None:
        self._feed.close()

    def _begin_again(self, error: FeedBroken) -> None:
        _log.critical("%s; deals are read from the oldest message on, after deal %d", error, self._newest())
        self.gaps += 1
        self._last_id, self._last, self._is_new = self._newest(), "", True
        self._before += self._feed.taken["kafka"]
        self._feed.close()
        self._feed = KafkaFeed(self._settings, "beginning", clock=self._clock)

    def _newest(self) -> int:
        return max(_deal_id(self._last), self._last_id)

    def _meet(self, message: Message) -> bool:
        """Whether a message after a beginning is for the owner: a new deal, or no deal at all."""
        deal_id = _deal_id(message.payload)
        if not deal_id:
            return True
        if deal_id <= self._last_id:
            return False
        self._is_new = False
        if deal_id > self._last_id + 1:
            self.gaps += 1
            _log.critical(
                "deals %d to %d are not in the %s; candles go on without them (vx candles rebuild makes them "
                "again where there is a history)",
                self._last_id + 1,
                deal_id - 1,
                self._settings,
            )
        return True


def _deal_id(payload: str) -> int:
    """0: it is no deal."""
    try:
        return decode_deal(payload, 0).id
    except BadMessage:
        return 0
