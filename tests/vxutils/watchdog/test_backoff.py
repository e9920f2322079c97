"""The pause before the next fork, as a table of lives and pauses in seconds."""

from __future__ import annotations

import pytest

from vxutils.watchdog import Backoff, RestartPolicy

LIVES_AND_PAUSES = [
    ([100, 100, 100, 100], [0, 0, 0, 0]),
    ([0.1, 0.1], [0, 0]),
    ([0.1] * 10, [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]),
    ([0.1, 0.1, 0.1, 5.0, 0.1, 0.1, 0.1], [0, 0, 1, 0, 0, 0, 1]),
    ([4.99, 4.99, 4.99], [0, 0, 1]),
]


@pytest.mark.parametrize(("lives", "pauses"), LIVES_AND_PAUSES)
def test_pauses_grow_only_while_workers_die_at_once(lives: list[float], pauses: list[float]) -> None:
    backoff = Backoff(RestartPolicy())
    assert [backoff.delay_after_s(lived_s) for lived_s in lives] == pauses


def test_ten_thousand_deaths_do_not_overflow() -> None:
    backoff = Backoff(RestartPolicy())
    assert [backoff.delay_after_s(0) for _ in range(10_000)][-1] == 30
