"""What a call can end with instead of a result, and what is known about its effect."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any


class Outcome(enum.Enum):
    """What happened to a request that got no result. The values are those of `error.data.outcome`."""

    NOT_SENT = "not_sent"
    """It did not reach the engine: nothing happened."""
    REFUSED = "refused"
    """It was looked at and refused: nothing happened."""
    UNKNOWN = "outcome_unknown"
    """It may have been executed, or may still be. For a query: there is no answer, and nothing more."""


class ExchangeError(Exception):
    """The exchange answered with an error, or (`NoAnswer`) there was none.

    `code` and `message` are the error's; from 10 on a code means something together with its method only.
    `data` is what the error carries beside them, empty if nothing.

    Source: protocol.md 2.2.
    """

    def __init__(self, code: int, message: str, data: Mapping[str, Any], outcome: Outcome) -> None:
        super().__init__(code, message, data, outcome)
        self.code = code
        self.message = message
        self.data = data
        self.outcome = outcome

    def __str__(self) -> str:
        return f"error {self.code}, {self.message} ({self.outcome.value})"


class NoAnswer(ExchangeError):
    """Nothing came that could be read as an answer to this call. `code` is 0, `message` the reason."""

    def __init__(self, reason: str, outcome: Outcome) -> None:
        super().__init__(0, reason, {}, outcome)
        self.args = (reason, outcome)

    def __str__(self) -> str:
        return f"{self.message} ({self.outcome.value})"


class KeptConnectionGone(NoAnswer):
    """The connection had been kept since an earlier call and turned out to be closed: nothing came."""


class WireError(Exception):
    """The peer sent bytes that are no answer; the text is the reason."""
