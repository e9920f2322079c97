"""Which recorder processes there are, and what each of them writes where.

    history and messages embedded     one     recorder: rows and messages, one transaction
    anything else                     two     recorder: rows           -> history.db | MySQL
                                              recorder-messages:       -> history.db and rings | Kafka

Each process has its own replica, position, backlog and pause after a failure, so that a database which is
away holds back no message. `recorder` looks after slices and archive for both. Nothing is opened here.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from matchengine.recorder.lag import MESSAGES_RECORDER, RECORDER
from matchengine.settings import MatchengineSettings
from vxutils.store.embedded.schema import Content

Role = Literal["history", "messages"]
Store = Literal["embedded", "mysql", "kafka"]

NAMES: Final[dict[Role, str]] = {"history": RECORDER, "messages": MESSAGES_RECORDER}


class Sink(msgspec.Struct, frozen=True):
    """What one recorder process writes where. `name` is that of the process and of its place in `run/`."""

    name: str
    content: Content
    store: Store

    @property
    def keeps(self) -> bool:
        """Whether this process looks after slices and archive."""
        return self.name == RECORDER


def sinks_of(settings: MatchengineSettings) -> dict[Role, Sink]:
    """The recorder processes of an exchange with these settings."""
    store: Store = settings.history.store
    if not settings.has_two_recorders:
        return {"history": Sink(RECORDER, "all", store)}
    messages: Store = "kafka" if settings.kafka.brokers else "embedded"
    return {
        "history": Sink(RECORDER, "rows", store),
        "messages": Sink(MESSAGES_RECORDER, "messages", messages),
    }


def names_of(settings: MatchengineSettings) -> list[str]:
    """The names of those processes."""
    return [sink.name for sink in sinks_of(settings).values()]
