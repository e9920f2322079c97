"""The deals from Kafka: as the recorder's feed, for a process that may be on another host.

    KafkaFeed --> in order, each once --> numbers go on? --> owner
       |                                    '--> a gap: first what the history has of it (`gap`)
       '--> broken: gone, or made anew --> from the oldest message on, past the deals that are known

Deals are numbered without gaps, whatever becomes of the topic. So behind each beginning the numbers tell what
is known already, which is passed over, and what is missing. That comes from the history, if there is one;
meanwhile the messages behind the gap wait, where they are and at most one batch of them here. A kill in the
middle does no harm: the position stays before the gap, and the last number tells how much of it was filled.
What is not to be had is an alarm that names it: candles go on without it.

Not here: what a deal does.

Source: protocol.md 5.3, 6.2; 12.3 (the first message, and an offset that is out of range).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from marketprice.deal_history import DealHistory
from marketprice.feed import FromHistory, position_of
from marketprice.gap import Gap, GapFill
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

    `find_history`: where gaps are filled from, asked when there is one; it gives None for nowhere. What it
    gives is used in a thread. `history_wait_s`: how long one that does not have the deals yet is waited for.

    `gaps` counts how often deals were missing in the topic, or the topic another one; `missing` names those
    of the last gap that were nowhere.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        position: Position,
        last_id: int,
        clock: Clock,
        find_history: Callable[[], DealHistory | None],
        history_wait_s: float,
    ) -> None:
        self.gaps = 0
        self.missing = ""
        self._settings = settings
        self._clock = clock
        self._find_history = find_history
        self._history_wait_s = history_wait_s
        self._position = position  # while no message was given out
        self._last_id = last_id
        self._is_new = True  # whether the next deal is the first one after a beginning
        self._last: Message | None = None  # the latest message of the topic that was given out
        self._before = 0  # messages taken from feeds before this one
        self._filled = 0  # deals from the history
        self._fill: GapFill | None = None
        self._waiting: list[Message] = []  # messages behind a gap, not more than were asked for at once
        self._feed = KafkaFeed(settings, position.offset + 1, known=position.digest, clock=clock)

    @property
    def source(self) -> str:
        return self._feed.source if self._fill is None else "history"

    @property
    def trouble(self) -> str | None:
        return (self._fill.trouble if self._fill is not None else None) or self._feed.trouble

    @property
    def taken(self) -> dict[str, int]:
        """Messages by where they came from."""
        return {"kafka": self._before + self._feed.taken["kafka"], "history": self._filled}

    def poll(self, limit: int) -> list[Message]:
        """The next messages, at most `limit`; never waits."""
        if self._fill is not None:
            return self._poll_fill(self._fill, limit)
        if self._waiting:
            found, self._waiting = self._waiting[:limit], self._waiting[limit:]
        else:
            found = self._poll_topic(limit)
        found = self._before_gap(found)
        self._note_given(found)
        return found

    def close(self) -> None:
        if self._fill is not None:
            self._fill.close()
        self._feed.close()

    # -- the topic -----------------------------------------------------------------------------

    def _poll_topic(self, limit: int) -> list[Message]:
        try:
            found = self._feed.poll(limit)
        except FeedBroken as error:
            self._begin_again(error)
            return []
        if self._is_new:
            found = [message for message in found if not self._is_new or self._is_unknown(message)]
        return found

    def _before_gap(self, found: list[Message]) -> list[Message]:
        """The messages before the first gap that is being filled; those behind it wait."""
        last_id = self._last_id
        if found and _deal_id(found[-1]) - last_id == len(found):
            return found  # numbers rise: nothing is missing
        for number, message in enumerate(found):
            deal_id = _deal_id(message)
            if not deal_id:
                continue
            gap = Gap(last_id + 1, deal_id - 1, message.sequence)
            if gap.first <= gap.last and self._meet_gap(gap):
                self._waiting = found[number:] + self._waiting
                return found[:number]
            last_id = max(last_id, deal_id)
        return found

    def _note_given(self, messages: list[Message]) -> None:
        if messages:
            self._last = messages[-1]
            deal_ids = (_deal_id(message) for message in reversed(messages))
            self._last_id = max(self._last_id, next(filter(None, deal_ids), 0))

    def _begin_again(self, error: FeedBroken) -> None:
        _log.critical("%s; deals are read from the oldest message on, after deal %d", error, self._last_id)
        self.gaps += 1
        self._is_new = True
        self._before += self._feed.taken["kafka"]
        self._feed.close()
        self._feed = KafkaFeed(self._settings, "beginning", clock=self._clock)

    def _is_unknown(self, message: Message) -> bool:
        """Whether a message after a beginning is for the owner: a new deal, or no deal at all."""
        deal_id = _deal_id(message)
        if deal_id and deal_id <= self._last_id:
            return False
        self._is_new = not deal_id
        return True

    # -- what it lacks -------------------------------------------------------------------------

    def _meet_gap(self, gap: Gap) -> bool:
        """Whether it is being filled."""
        self.gaps += 1
        history = self._find_history()
        if history is None:
            _log.critical(
                "deals %d to %d are not in the %s; candles go on without them (vx candles rebuild makes them "
                "again where there is a history)",
                gap.first,
                gap.last,
                self._settings,
            )
            self.missing = f"{gap.first}-{gap.last}"
            return False
        _log.critical(
            "deals %d to %d are not in the %s; they are read from %s, those after them wait",
            gap.first,
            gap.last,
            self._settings,
            history,
        )
        self._fill = GapFill(history, gap, self._history_wait_s)
        return True

    def _poll_fill(self, fill: GapFill, limit: int) -> list[Message]:
        position = self._position if self._last is None else position_of(self._last)
        found: list[Message] = [
            FromHistory(position.offset, position.sequence, 0, text, position) for _, text in fill.poll(limit)
        ]
        self._filled += len(found)
        if fill.is_done:
            self._end_fill(fill)
        return found

    def _end_fill(self, fill: GapFill) -> None:
        fill.close()
        self._fill = None
        self._last_id = fill.gap.last
        filled = fill.gap.last - fill.gap.first + 1 - fill.missing
        if not fill.missing:
            _log.critical("the gap is filled: %d deals from the history", filled)
            return
        self.missing = fill.missing_text
        _log.critical(
            "%d deals came from the history; %d are not there either, candles go on without them: %s",
            filled,
            fill.missing,
            fill.missing_text,
        )


def _deal_id(message: Message) -> int:
    """0: it is no deal."""
    try:
        return decode_deal(message.payload, 0).id
    except BadMessage:
        return 0
