"""Whether a failed call is tried again, and after which pause: the decision, without a clock.

changes something, no key        never
no retries asked for             never (but a query once, if a kept connection turned out to be gone)
refused for a reason that stays  never
otherwise                        up to `retries` times, after 0.05, 0.1, 0.2 ... at most 2 seconds
"""

from __future__ import annotations

from typing import Final

from vxutils.client.errors import ExchangeError, KeptConnectionGone, Outcome
from vxutils.client.request import Request
from vxutils.protocol import codes

RETRIES_MAX: Final = 1000
PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 2.0


def check_retries(retries: int) -> int:
    """Raises: ValueError for a number out of range."""
    if not 0 <= retries <= RETRIES_MAX:
        raise ValueError(f"retries must be 0 to {RETRIES_MAX}, but is {retries}")
    return retries


class Attempts:
    """The attempts at one call; it owns their count."""

    def __init__(self, request: Request, retries: int) -> None:
        is_harmless = not request.is_mutating or request.key is not None
        self._left = retries if is_harmless else 0
        self._free_repeats = 0 if request.is_mutating else 1
        self._pause_s = PAUSE_FIRST_S

    def pause_after(self, error: ExchangeError) -> float:
        """Seconds to wait before the next attempt. Raises: `error`, if there is to be none."""
        if self._free_repeats and isinstance(error, KeptConnectionGone):
            self._free_repeats -= 1
            return 0.0
        if not self._left or not _may_pass(error):
            raise error
        self._left -= 1
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, PAUSE_MAX_S)
        return pause_s


def _may_pass(error: ExchangeError) -> bool:
    """Whether the same call may get another answer a little later."""
    return error.outcome is not Outcome.REFUSED or error.code == codes.SERVICE_UNAVAILABLE.code
