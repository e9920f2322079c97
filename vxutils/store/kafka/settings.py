"""Where topics are, as settings name it. Loads no client library."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

_PLACE = r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
_BROKERS = re.compile(rf" *({_PLACE}( *, *{_PLACE})*)? *")
_TOPIC = re.compile(r"[A-Za-z0-9._-]+")

BrokersText = Annotated[str, Meta(max_length=1_000)]
"""`host:port`, several of one cluster separated by commas; empty: none. Source: protocol.md 10.3."""

TopicText = Annotated[str, Meta(min_length=1, max_length=249)]

PARTITION = 0
"""The one partition that is written. Source: protocol.md 5.1."""


class ConsumerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One topic that is read; without brokers it is not. Source: protocol.md 10.3."""

    brokers: BrokersText = ""
    topic: TopicText
    partition: Annotated[int, Meta(ge=0, le=100_000)] = PARTITION

    def __str__(self) -> str:
        return f"topic {self.topic} at {self.brokers}"


class OrdersTopic(ConsumerSettings, frozen=True, kw_only=True):
    """Where order events are read."""

    topic: TopicText = "orders"


class BalancesTopic(ConsumerSettings, frozen=True, kw_only=True):
    """Where changes of balances are read."""

    topic: TopicText = "balances"


class DealsTopic(ConsumerSettings, frozen=True, kw_only=True):
    """Where deals are read."""

    topic: TopicText = "deals"


def brokers_problems(path: str, brokers: str) -> list[str]:
    """In words, for the operator; `path`: the setting."""
    if _BROKERS.fullmatch(brokers):
        return []
    return [f"{path}: {brokers!r} is no list of brokers such as host:9092,host:9092"]


def topic_problems(path: str, topic: ConsumerSettings) -> list[str]:
    """In words, for the operator; `path`: the section."""
    problems = brokers_problems(f"{path}.brokers", topic.brokers)
    if not _TOPIC.fullmatch(topic.topic):
        problems.append(f"{path}.topic: {topic.topic!r} has more than letters, digits, dots and dashes")
    return problems
