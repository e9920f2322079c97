"""Where pushed data comes from: backends by RPC, books in shared memory, messages of the recorder.

    Asker   one query to a backend, its outcome in three words: an answer, a refusal, nothing
    Books   the newest book of a market, from the engine's ring; `MarketSnapshots` has them
    Feed    the messages of a topic, each once, in order

The three small interfaces are what the pushes are written against; here are their real forms.

Source: protocol.md 9.6, 9.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from gateways.common.backends import Backends
from gateways.common.errors import GatewayError
from gateways.common.market_snapshots import Shown
from gateways.common.snapshot_answers import SnapshotAnswers
from vxutils.protocol.book import BookSnapshot
from vxutils.protocol.commands import BY_ID, Service
from vxutils.store.embedded.schema import Message


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a backend said. `result` is JSON text; `sequence` 0 when it told none; `code` 0 for success."""

    result: bytes
    sequence: int = 0
    code: int = 0


Done = Callable[[Answer | None], None]
"""Gets None when there was no answer: not connected, lost, too late."""


class Asker(Protocol):
    """Queries to the backends."""

    def ask(self, command: int, params: bytes, done: Done) -> None:
        """Send one query; `done` is called exactly once, perhaps in here."""

    def is_connected(self, service: Service) -> bool: ...


class Books(Protocol):
    """The books of the engine on this host."""

    def peek(self, market: str) -> tuple[int, int] | None:
        """Generation and number of the newest publication, without reading it; None if there is no ring."""

    def read(self, market: str) -> BookSnapshot | None: ...


class Feed(Protocol):
    """The messages of one topic; `vxutils.store.embedded.feed.MessageFeed` is one."""

    @property
    def source(self) -> str: ...

    @property
    def trouble(self) -> str | None: ...

    @property
    def is_placed(self) -> bool:
        """Whether it is known where it begins; what is written before that is not given out."""

    def poll(self, limit: int) -> list[Message]: ...

    def close(self) -> None: ...


class _Reply(msgspec.Struct, gc=False):
    """A reply body as far as it concerns us."""

    error: msgspec.Raw
    result: msgspec.Raw
    sequence: int = 0


class _Error(msgspec.Struct, gc=False):
    code: int


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_params = msgspec.json.Decoder(list[Any]).decode
_decode_error = msgspec.json.Decoder(_Error | None).decode


def read_reply(body: bytes) -> Answer | None:
    """The answer in a reply body; None for what is none, which no backend of ours sends."""
    try:
        reply = _decode_reply(body)
        error = _decode_error(reply.error)
    except msgspec.MsgspecError:
        return None
    if error is not None:
        return Answer(b"", reply.sequence, error.code)
    return Answer(bytes(reply.result), reply.sequence)


class SnapshotAsker:
    """Asks shared memory, and `asker` for what is not there."""

    def __init__(self, answers: SnapshotAnswers, asker: Asker) -> None:
        self._answers = answers
        self._asker = asker

    def ask(self, command: int, params: bytes, done: Done) -> None:
        found = self._answers.look(command, _decode_params(params))
        if found is None:
            self._asker.ask(command, params, done)
        else:
            done(Answer(found.text.encode(), found.sequence or 0) if isinstance(found, Shown) else None)

    def is_connected(self, service: Service) -> bool:
        return self._asker.is_connected(service)


class BackendAsker:
    """Asks the backends of the gateway."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._by_service = {backend.name: backend for backend in backends}

    def ask(self, command: int, params: bytes, done: Done) -> None:
        def replied(reply: bytes | GatewayError) -> None:
            done(read_reply(reply) if isinstance(reply, bytes) else None)

        known = BY_ID[command]
        self._backends.of(known).call(known, params, b"", 0, replied)

    def is_connected(self, service: Service) -> bool:
        backend = self._by_service.get(service.value)
        return backend is not None and backend.is_connected
