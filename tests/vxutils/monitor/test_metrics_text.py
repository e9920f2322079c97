"""Counters, gauges and histograms as Prometheus text, read back by the library's own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vxutils.metrics import Buckets, Metrics


def series(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_counters_and_gauges_with_and_without_labels() -> None:
    answers = {("order.depth", "200"): 5, ("order.put_limit", "504"): 1}
    metrics = Metrics()
    metrics.counter("vx_restarts", "Restarts.", (), lambda: 2)
    metrics.counter("vx_answers", "Answers.", ("method", "code"), lambda: answers)
    metrics.gauge("vx_lag_seconds", "Lag.", (), lambda: 0.25)
    metrics.gauge("vx_connected", "Backends.", ("backend",), lambda: {('match "engine"\n',): 1})
    assert series(metrics) == {
        ("vx_restarts_total", ()): 2,
        ("vx_answers_total", (("code", "200"), ("method", "order.depth"))): 5,
        ("vx_answers_total", (("code", "504"), ("method", "order.put_limit"))): 1,
        ("vx_lag_seconds", ()): 0.25,
        ("vx_connected", (("backend", 'match "engine"\n'),)): 1,
    }
    metrics.counter("vx_http_answers", "By status.", ("code",), lambda: {200: 7})
    assert series(metrics)["vx_http_answers_total", (("code", "200"),)] == 7
    answers["order.depth", "200"] += 1
    assert series(metrics)["vx_answers_total", (("code", "200"), ("method", "order.depth"))] == 6


def test_buckets_count_up_to_and_with_their_bound() -> None:
    buckets = Buckets((1.0, 2.5, 10.0))
    for value in (0.5, 1.0, 1.1, 2.5, 9.0, 10.0, 10.1, 1000.0):
        buckets.observe(value)
    assert buckets.counts == [2, 2, 2, 2]
    assert buckets.cumulative() == [("1.0", 2), ("2.5", 4), ("10.0", 6), ("+Inf", 8)]
    metrics = Metrics()
    metrics.histogram("vx_sync_seconds", "Syncs.", (), lambda: buckets)
    found = series(metrics)
    assert found["vx_sync_seconds_bucket", (("le", "2.5"),)] == 4
    assert found["vx_sync_seconds_bucket", (("le", "+Inf"),)] == 8
    assert found["vx_sync_seconds_count", ()] == 8
    assert found["vx_sync_seconds_sum", ()] == pytest.approx(1034.2)


def test_histograms_by_label() -> None:
    by_method = {("a",): Buckets((1.0,)), ("b",): Buckets((1.0,))}
    by_method["b",].observe(5.0)
    metrics = Metrics()
    metrics.histogram("vx_answer_seconds", "Answers.", ("method",), lambda: by_method)
    found = series(metrics)
    assert found["vx_answer_seconds_bucket", (("le", "+Inf"), ("method", "a"))] == 0
    assert found["vx_answer_seconds_bucket", (("le", "+Inf"), ("method", "b"))] == 1


def test_two_processes_in_one_interpreter_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.gauge("vx_same", "One.", (), lambda: 1)
    second.gauge("vx_same", "Other.", (), lambda: 2)
    assert series(first) == {("vx_same", ()): 1}
    assert series(second) == {("vx_same", ()): 2}


@pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0)])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    with pytest.raises(AssertionError):
        Buckets(bounds)


def test_a_name_is_registered_once_and_labels_have_texts() -> None:
    metrics = Metrics()
    metrics.gauge("vx_one", "One.", ("a",), lambda: {("x", "y"): 1})
    with pytest.raises(AssertionError):
        metrics.counter("vx_one", "Again.", (), lambda: 1)
    with pytest.raises(AssertionError):
        metrics.render()
