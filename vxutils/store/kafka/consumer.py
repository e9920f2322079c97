"""The messages of one topic as they come from the brokers: the feed of a process on any host.

    begin --> look at the message before, if it is known --> follow --> messages, each once, in order
      ^         | another one                                 | |  what comes next is not there
      |         '--> AnotherHistory                           | '--> search the oldest --> MessagesGone,
      '-------------------- a failure ------------------------'                            AnotherHistory

The library fetches in threads of its own, into a bounded queue; a look at it takes microseconds and never
waits, so a loop that serves clients may poll. Only committed messages are seen. No position is kept in Kafka.

A message of ours tells in its headers which one it is, so one that was sent twice is given out once. A
message without headers, as the C system writes, is given out as it is, with sequence 0. Offsets grow, and
there may be gaps between them: the marks of transactions have offsets too.

A topic that is made anew is noticed: at once when it is shorter than the old one was, at the next begin when
it is longer.

Not here: what a message means, and where the position of its consumer is kept.

Source: protocol.md 5.3; 12.3 (the end of the topic instead of a lost position).
"""

from __future__ import annotations

import logging
from typing import Final, Literal

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from vxnet.clock import Clock, OncePer, SystemClock
from vxutils.store.embedded.feed import AnotherHistory, MessagesGone, digest
from vxutils.store.embedded.schema import Message
from vxutils.store.kafka.errors import sort_error
from vxutils.store.kafka.headers import Origin, read_headers
from vxutils.store.kafka.reading import consumer_settings
from vxutils.store.kafka.settings import ConsumerSettings

QUEUE_KIB_MAX: Final = 16 * 1024
QUEUE_MESSAGES_MIN: Final = 10_000
"""So many are fetched ahead, if they fit."""

ANSWER_S: Final = 10.0
"""A broker that says nothing for so long is away; they answer every half second."""

AGAIN_FIRST_US: Final = 500_000
AGAIN_MAX_US: Final = 16_000_000
"""After a failure the feed begins again where it was: the same topic must still be there."""

LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.feed.kafka")

Source = Literal["kafka", "none"]
Start = int | Literal["beginning", "end"]
_Phase = Literal["check", "follow", "search"]


class KafkaFeed:
    """Gives the messages of a topic from offset `start` on, each once, in order. For one thread.

    `start` "beginning": from the oldest one there is; "end": from the next one that is written after the
    brokers were first reached. `known`: the digest
    of the message before `start`, if it is known, to be sure that the topic is the same one.

    `source` is "none" while the brokers do not answer, `trouble` says why; `taken` counts messages,
    `duplicates` those that had been given out before. `next_offset` is None until `start` is known.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        start: Start,
        *,
        known: bytes = b"",
        clock: Clock | None = None,
    ) -> None:
        """Raises: KafkaNotAllowed, if a file of the login can not be used."""
        self.topic = settings.topic
        self._partition = settings.partition
        self.next_offset: int | None = start if isinstance(start, int) else None
        self._unknown = OFFSET_BEGINNING if start == "beginning" else OFFSET_END
        self.source: Source = "none"
        self.trouble: str | None = f"{settings} has not answered yet"
        self.taken: dict[Source, int] = {"kafka": 0}
        self.duplicates = 0
        self._where = str(settings)
        self._clock = clock or SystemClock()
        self._failure_log = OncePer(LOG_PERIOD_S)
        self._last: Origin | None = None  # of what was given out by a writer that tells
        self._last_offset = start - 1 if isinstance(start, int) and known else -1
        self._last_text: str | None = None  # at that offset
        self._known = known  # the digest of it, while we have not seen it
        self._phase: _Phase = "follow"
        self._failed = False
        self._again_us = 0
        self._pause_us = AGAIN_FIRST_US
        self._consumer = Consumer(
            consumer_settings(settings.brokers, settings.login)
            | {
                "queued.max.messages.kbytes": QUEUE_KIB_MAX,
                "queued.min.messages": QUEUE_MESSAGES_MIN,
                "topic.metadata.refresh.interval.ms": 10_000,
                "socket.timeout.ms": int(ANSWER_S * 1000),
                "error_cb": self._hear,
            }
        )
        self._begin()

    def poll(self, limit: int) -> list[Message]:
        """The next messages, at most `limit`; empty: none yet.

        Raises: MessagesGone, AnotherHistory: the feed is of no use any more.
        """
        found: list[Message] = []
        if limit <= 0:
            return found
        if self._failed and self._clock.monotonic_us() >= self._again_us:
            self._failed = False
            self._begin()
        for entry in self._consumer.consume(limit, 0):
            error = entry.error()
            if error is not None:
                self._meet(error, entry)
                continue
            self._well()
            message = self._take(entry)
            if message is not None:
                found.append(message)
        self.taken["kafka"] += len(found)
        return found

    @property
    def is_placed(self) -> bool:
        """Whether `start` is known: what is written from now on is given out."""
        return self.next_offset is not None

    def close(self) -> None:
        """Ends the connections."""
        self._consumer.close()

    # -- messages ------------------------------------------------------------------------------

    def _take(self, entry: KafkaMessage) -> Message | None:
        offset, value = entry.offset(), entry.value()
        assert offset is not None, "the broker gave it one"
        # What is no text stays no JSON text: whoever decodes it finds that.
        payload = (value or b"").decode("utf-8", "backslashreplace")
        origin = read_headers(entry.headers())
        if self._phase != "follow":
            if self._phase == "check" and offset == self._last_offset:
                if not self._is_last(payload):
                    self._other_topic(offset)
                self._phase, self._last, self._last_text = "follow", origin, payload
                return None
            self._demand_next(offset)
        assert self.next_offset is None or offset >= self.next_offset, "the brokers keep the order"
        self.next_offset, self._last_offset, self._last_text = offset + 1, offset, payload
        if origin is not None:
            last = self._last
            if last is not None and last.system == origin.system and origin.id <= last.id:
                self.duplicates += 1
                return None
            self._last = origin
        sequence, index = (origin.id.sequence, origin.id.number) if origin is not None else (0, 0)
        return Message(offset, sequence, index, payload)

    def _is_last(self, payload: str) -> bool:
        if self._last_text is not None:
            return payload == self._last_text
        return digest(payload) == self._known

    def _demand_next(self, oldest: int) -> None:
        """`oldest`: what is there, of what we want or before it. Raises: MessagesGone, AnotherHistory."""
        wanted = self.next_offset
        assert wanted is not None, "only a known offset is looked for"
        if oldest > wanted:
            raise MessagesGone(
                f"messages {wanted} to {oldest - 1} of the {self._where} are no longer there", oldest
            )
        if oldest < wanted:
            self._other_topic(oldest)
        self._phase = "follow"

    def _other_topic(self, offset: int) -> None:
        raise AnotherHistory(
            f"the {self._where} was made anew: message {offset} is not the one that was read there"
        )

    # -- what else the brokers say -------------------------------------------------------------

    def _meet(self, error: KafkaError, entry: KafkaMessage) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._well()
            end = entry.offset()
            assert end is not None, "it says where"
            if self.next_offset is None:
                self.next_offset = end
            elif self._phase == "search" or (self._phase == "check" and end <= self._last_offset):
                self._demand_next(end)
            self._phase = "follow"
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            if self.next_offset is None:
                self._begin()
            else:
                self._phase = "search"
                self._assign(OFFSET_BEGINNING)
        else:
            self._fail(error)

    def _begin(self) -> None:
        if self._last_offset >= 0:
            self._phase = "check"
            self._assign(self._last_offset)
        else:
            self._phase = "follow"
            self._assign(self._unknown if self.next_offset is None else self.next_offset)

    def _assign(self, offset: int) -> None:
        self._consumer.assign([TopicPartition(self.topic, self._partition, offset)])

    def _well(self) -> None:
        self._pause_us = AGAIN_FIRST_US
        self.source, self.trouble = "kafka", None

    def _hear(self, error: KafkaError) -> None:
        """What concerns no topic. That one broker of several is away is no trouble yet."""
        if error.code() not in (KafkaError._TRANSPORT, KafkaError._RESOLVE):
            self._fail(error)

    def _fail(self, error: KafkaError) -> None:
        now_us = self._clock.monotonic_us()
        self.source, self.trouble = "none", str(sort_error(error, self._where))
        if not self._failed:
            self._failed = True
            self._again_us = now_us + self._pause_us
            self._pause_us = min(self._pause_us * 2, AGAIN_MAX_US)
        if self._failure_log.allows(now_us / 1_000_000):
            _log.warning("%s", self.trouble)
