"""A histogram of latencies in logarithmic buckets: quantiles within 0.25 % in constant memory.

Bucket i holds 1.005^i to 1.005^(i+1) microseconds; 4,000 buckets reach beyond one minute. The same
buckets as loadgen.c, so figures of both compare.
"""

from __future__ import annotations

from math import log

GROWTH = 1.005
BUCKETS = 4000
_LOG_GROWTH = log(GROWTH)


class LatencyHistogram:
    """Counts latencies; the one who adds owns it."""

    __slots__ = ("_counts", "max_us")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.max_us = 0.0

    def add(self, seconds: float, count: int) -> None:
        """Counts `count` latencies of `seconds` each."""
        latency_us = seconds * 1e6
        if latency_us > self.max_us:
            self.max_us = latency_us
        bucket = int(log(latency_us) / _LOG_GROWTH) if latency_us > 1.0 else 0
        self._counts[min(bucket, BUCKETS - 1)] += count

    def quantile_us(self, fraction: float) -> float:
        """The latency that `fraction` of all stay at or below, in microseconds; 0 when nothing was added."""
        total = sum(self._counts)
        if not total:
            return 0.0
        reached = 0
        for bucket, count in enumerate(self._counts):
            reached += count
            if reached >= fraction * total:
                return float(GROWTH ** (bucket + 0.5))
        raise AssertionError("the buckets add up to their total")

    def summary_us(self) -> dict[str, int]:
        """p50, p90, p99, p999 and max in whole microseconds."""
        fractions = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
        figures = {name: round(self.quantile_us(fraction)) for name, fraction in fractions.items()}
        return {**figures, "max": round(self.max_us)}
