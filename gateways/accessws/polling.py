"""Topics whose state a backend is asked for, and when it is asked.

    round(kind)  each interval: every topic of the kind that is due       --.
    want(topic)  something changed, or nothing is known yet: soon, but not  +--> ask --> take_answer
                 sooner than `changed_interval_s` after the last time     --'

One query per topic is on its way at a time, so answers can not overtake one another. Whoever is refused (a
market that does not exist, perhaps not yet) or not answered keeps its subscribers, and is asked again in a
round after RETRY_FIRST_S, then more and more seldom. What an answer means is the topic's business.

Source: protocol.md 9.6; 12.6 numbers 80 and 83 (an error drops all subscribers; polls overlap).
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from gateways.accessws.counters import Counters
from gateways.accessws.sources import Answer, Asker
from gateways.accessws.topics import Key, Kind, Topic
from vxnet.clock import OncePer

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 10.0
REFUSED_LOG_PERIOD_S: Final = 60.0

_log = logging.getLogger("vx.accessws.polling")


class PolledTopic(Topic):
    """A topic with a query. `command` and `params` are what is asked."""

    __slots__ = ("failures", "is_asked", "is_wanted", "not_before")

    command = 0

    def __init__(self, kind: Kind, key: Key) -> None:
        super().__init__(kind, key)
        self.is_wanted = False
        self.is_asked = False
        """A query is on its way."""
        self.not_before = 0.0
        """Loop time before which it is not asked again for a change."""
        self.failures = 0
        """In a row."""

    @abstractmethod
    def params(self) -> bytes:
        """The JSON array of the query's parameters."""

    @abstractmethod
    def take_answer(self, answer: Answer, now: float) -> None:
        """Take the state in, and push what is to be pushed. `now` is loop time."""

    def take_failure(self) -> None:
        """There was no answer, or a refusal; it will be asked again."""
        return


class Poller:
    """Asks for all polled topics of a worker; `time` is the loop's clock."""

    def __init__(
        self,
        asker: Asker,
        counters: Counters,
        time: Callable[[], float],
        changed_interval_s: float,
    ) -> None:
        self._asker = asker
        self._counters = counters
        self._time = time
        self._changed_interval_s = changed_interval_s
        self._wanted: dict[PolledTopic, None] = {}
        self._refused_log = OncePer(REFUSED_LOG_PERIOD_S)

    def want(self, topic: PolledTopic) -> None:
        """Ask for it as soon as may be; done again: no effect."""
        topic.is_wanted = True
        self._wanted[topic] = None

    def tick(self) -> None:
        """Ask for what is wanted and may be asked for now. Each tick; costs what is wanted."""
        if not self._wanted:
            return
        now = self._time()
        for topic in list(self._wanted):
            if not topic.clients:
                self._done_with(topic)
            elif not topic.is_asked and now >= topic.not_before:
                self._ask(topic, now)

    def round(self, topics: Iterable[Topic], is_due: Callable[[PolledTopic], bool]) -> None:
        """Ask for each of `topics` that has clients and is due. Once per interval of their kind."""
        now = self._time()
        for topic in list(topics):
            assert isinstance(topic, PolledTopic)
            if not topic.clients or topic.is_asked:
                continue
            if now >= topic.not_before if topic.failures else is_due(topic):
                self._ask(topic, now)

    def _ask(self, topic: PolledTopic, now: float) -> None:
        self._done_with(topic)
        topic.is_asked = True
        topic.not_before = now + self._changed_interval_s
        self._asker.ask(topic.command, topic.params(), lambda answer: self._answered(topic, answer))

    def _answered(self, topic: PolledTopic, answer: Answer | None) -> None:
        topic.is_asked = False
        now = self._time()
        if answer is not None and not answer.code:
            try:
                topic.take_answer(answer, now)
            except msgspec.MsgspecError as error:
                answer = None
                if self._refused_log.allows(now):
                    _log.error("%s %r: a result that is none: %s", topic.kind.value, topic.key, error)
            else:
                self._counters.answered += 1
                topic.failures = 0
                return
        pause_s: float = min(RETRY_FIRST_S * 2 ** min(topic.failures, 10), RETRY_MAX_S)
        if answer is None:
            self._counters.failed += 1
            pause_s = RETRY_FIRST_S  # a backend that comes back is there for all at once
        else:
            self._counters.refused += 1
            if not topic.failures and self._refused_log.allows(now):
                _log.info("%s %r: refused with code %d", topic.kind.value, topic.key, answer.code)
        topic.failures += 1
        topic.not_before = now + pause_s
        topic.take_failure()

    def _done_with(self, topic: PolledTopic) -> None:
        topic.is_wanted = False
        self._wanted.pop(topic, None)
