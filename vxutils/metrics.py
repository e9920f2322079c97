"""Numbers of a process as Prometheus text, read when somebody asks.

    hot path: plain integers, dicts, `Buckets.observe`  <--read()-- Metrics.render() <-- GET /metrics

A process keeps its own numbers in the cheapest form and registers functions that read them. Nothing is global
and nothing is counted here. Rendering is left to prometheus-client. Owned by the process; one per monitor.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

LATENCY_BOUNDS_S: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
)
"""Upper bounds in seconds: from a durable answer on a fast disk to a timeout."""

Labelled = Mapping[Any, float]
"""Values by their labels: a tuple in the order in which the labels were named, or the only label by itself.
What is not text is shown as `str` does."""

Read = Callable[[], float | Labelled]
"""Reads one number, or with labels as many as there are."""


class Buckets:
    """Counts of observations by size: `counts[i]` of those up to `bounds[i]`, the last one of all larger."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        assert bounds and list(bounds) == sorted(set(bounds)), "bounds rise"
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """Sum of everything observed."""

    def observe(self, value: float) -> None:
        """Count one value; about 0.2 us."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound as text and the count of values up to it, `+Inf` last."""
        rows: list[tuple[str, float]] = []
        count = 0
        for bound, own in zip(self.bounds, self.counts, strict=False):
            count += own
            rows.append((repr(float(bound)), count))
        rows.append(("+Inf", count + self.counts[-1]))
        return rows


LabelledBuckets = Mapping[Any, Buckets]
ReadBuckets = Callable[[], Buckets | LabelledBuckets]


class Metrics(Collector):
    """The series of one process. Names are unique; register all of them before the first `render`."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._families: list[Callable[[], Metric]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def counter(self, name: str, help_text: str, labels: Sequence[str], read: Read) -> None:
        """What only grows while the process lives; `_total` is added to the name."""
        self._register(name)

        def family() -> Metric:
            metric = CounterMetricFamily(name, help_text, labels=labels)
            for texts, value in _values(labels, read()):
                metric.add_metric(texts, value)
            return metric

        self._families.append(family)

    def gauge(self, name: str, help_text: str, labels: Sequence[str], read: Read) -> None:
        """What goes up and down."""
        self._register(name)

        def family() -> Metric:
            metric = GaugeMetricFamily(name, help_text, labels=labels)
            for texts, value in _values(labels, read()):
                metric.add_metric(texts, value)
            return metric

        self._families.append(family)

    def histogram(self, name: str, help_text: str, labels: Sequence[str], read: ReadBuckets) -> None:
        """The distribution that some `Buckets` hold."""
        self._register(name)

        def family() -> Metric:
            metric = HistogramMetricFamily(name, help_text, labels=labels)
            found = read()
            by_labels: LabelledBuckets = {(): found} if isinstance(found, Buckets) else found
            for key, buckets in by_labels.items():
                metric.add_metric(_texts(labels, key), buckets.cumulative(), buckets.total)
            return metric

        self._families.append(family)

    def render(self) -> bytes:
        """All series as they are now, in the text format 0.0.4 (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        return [family() for family in self._families]

    def _register(self, name: str) -> None:
        assert name not in self._names, f"{name} is registered twice"
        self._names.add(name)


def _values(labels: Sequence[str], found: float | Labelled) -> Iterable[tuple[list[str], float]]:
    by_labels: Labelled = found if isinstance(found, Mapping) else {(): found}
    for key, value in by_labels.items():
        yield _texts(labels, key), value


def _texts(labels: Sequence[str], key: object) -> list[str]:
    texts = [str(part) for part in key] if isinstance(key, tuple) else [str(key)]
    assert len(texts) == len(labels), "one text per label"
    return texts
