"""Where topics are, as settings name it. Loads no client library."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vxutils.store.access import FilePathText, TlsSettings, access_problems

_PLACE = r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
_BROKERS = re.compile(rf" *({_PLACE}( *, *{_PLACE})*)? *")
_TOPIC = re.compile(r"[A-Za-z0-9._-]+")

BrokersText = Annotated[str, Meta(max_length=1_000)]
"""`host:port`, several of one cluster separated by commas; empty: none. Source: protocol.md 10.3."""

TopicText = Annotated[str, Meta(min_length=1, max_length=249)]

PARTITION = 0
"""The one partition that is written. Source: protocol.md 5.1."""


class KafkaLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are for the brokers, and how they are known. Without `user` they ask nobody.

    `password_file`: instead of `password`, a file whose only line it is. `mechanism`: of SASL. Without `tls`
    everything travels unencrypted, a password of PLAIN too.
    """

    user: Annotated[str, Meta(max_length=255)] = ""
    password: Annotated[str, Meta(max_length=1_000)] = ""
    password_file: FilePathText = ""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    tls: TlsSettings | None = None


class ConsumerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One topic that is read; without brokers it is not. Source: protocol.md 10.3."""

    brokers: BrokersText = ""
    topic: TopicText
    partition: Annotated[int, Meta(ge=0, le=100_000)] = PARTITION
    login: KafkaLogin | None = None

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


def login_problems(path: str, login: KafkaLogin | None) -> list[str]:
    """In words, for the operator; `path`: the section."""
    if login is None:
        return []
    problems = access_problems(path, login.password, login.password_file, login.tls)
    has_password = bool(login.password or login.password_file)
    if has_password != bool(login.user):
        missing = "user" if has_password else "password_file"
        problems.append(f"{path}.{missing}: missing; a login is a user and a password")
    return problems


def topic_problems(path: str, topic: ConsumerSettings) -> list[str]:
    """In words, for the operator; `path`: the section."""
    problems = brokers_problems(f"{path}.brokers", topic.brokers)
    if not _TOPIC.fullmatch(topic.topic):
        problems.append(f"{path}.topic: {topic.topic!r} has more than letters, digits, dots and dashes")
    return problems + login_problems(f"{path}.login", topic.login)
