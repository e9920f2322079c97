"""How many wrong attempts one address may make: a bucket per address, in a bounded table. Pure.

    wrong attempt: -1      every `refill_s`: +1, up to `burst`      empty: refused unheard

An address that is not in the table has a full bucket. When the table is full the one whose last wrong attempt
is longest ago is forgotten: many addresses are needed to win a new try, one per address pushed out.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 20
REFILL_S: Final = 3.0
ADDRESSES_MAX: Final = 10_000


class WrongAttempts:
    """Owned by one authenticator. Times are monotonic, in seconds."""

    def __init__(
        self, burst: int = BURST, refill_s: float = REFILL_S, addresses_max: int = ADDRESSES_MAX
    ) -> None:
        assert burst > 0 and refill_s > 0 and addresses_max > 0, "an address may be wrong once"
        self._burst = burst
        self._refill_s = refill_s
        self._addresses_max = addresses_max
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def are_too_many(self, address: str, now_s: float) -> bool:
        """Whether the next attempt of this address is refused unheard; "" is never."""
        return bool(address) and self._left(address, now_s) < 1

    def note(self, address: str, now_s: float) -> None:
        """The address has made a wrong one."""
        if not address:
            return
        left = self._left(address, now_s)
        self._buckets.pop(address, None)  # so that the order is that of the last wrong attempt
        if len(self._buckets) >= self._addresses_max:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = (max(0.0, left - 1), now_s)

    def _left(self, address: str, now_s: float) -> float:
        bucket = self._buckets.get(address)
        if bucket is None:
            return self._burst
        left, at_s = bucket
        return min(self._burst, left + (now_s - at_s) / self._refill_s)
