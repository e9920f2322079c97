"""What poisoned, hung or crashed the C system gets error 1 from us and changes nothing.

The recordings 06b and 06c are sent in order. Around every request that carries a number we refuse, and
every one the C system hung or died on, all balances and books are compared. The other requests are legal;
their replies are compared up to the first non-finite number of the file, on which the C system's later ones
rest.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest

from tests.conformance.comparing import masked
from tests.conformance.differences import DIFFERENCES, REFUSED
from tests.conformance.replay import Record, Replay, records
from tests.support.configs import c_config
from tests.support.processes import EngineProcess

BALANCE_QUERY, ASSET_SUMMARY, ORDER_BOOK, DEPTH, MARKET_SUMMARY = 101, 105, 205, 206, 308
USERS = (1, 2, 3)  # with orders in these files

# Requests that are refused and legal ones, so that a test which skips everything is noticed.
FILES = {"06b_nonfinite": (28, 207), "06c_hang_crash": (12, 26)}


@pytest.mark.parametrize("file", FILES)
def test_refused_and_nothing_changed(file: str, tmp_path: Path) -> None:
    refused = legal = 0
    comparable = True
    with EngineProcess(tmp_path, c_config()) as engine, Replay(engine.address("tcp")) as replay:
        for record in records(file):
            if is_refused(record):
                comparable = comparable and not has_number_no_one_can_take(record)
                before = state(replay, record)
                assert reply_of(replay, record) == REFUSED % record.request_id, (
                    f"{record.name} {record.params}"
                )
                assert state(replay, record) == before, f"{record.name} {record.params} changed the state"
                refused += 1
            else:
                reply = reply_of(replay, record)
                if comparable:
                    assert record.raw is not None
                    assert masked(reply) == masked(record.raw), f"{record.name} {record.params}"
                legal += 1
    assert (refused, legal) == FILES[file]


def is_refused(record: Record) -> bool:
    """It hung or crashed the C system, or carries a decimal that is no number of ours."""
    return (
        record.raw is None
        or (record.file, record.line) in DIFFERENCES
        or has_number_no_one_can_take(record)
        or has_number_too_large_or_long(record)
        or detail_characters(record) > 4096
    )


def has_number_no_one_can_take(record: Record) -> bool:
    return any(not number.is_finite() for number in numbers(record))


def has_number_too_large_or_long(record: Record) -> bool:
    """10^30 and more, or an exponent beyond 60. A plain rule, written anew: it must not copy the engine's."""
    finite = [number for number in numbers(record) if number.is_finite()]
    return any(number and not -60 <= number.adjusted() < 30 for number in finite)


def numbers(record: Record) -> list[Decimal]:
    """The texts among the parameters that Python's Decimal takes for numbers."""
    found = []
    for text in record.params or ():
        if isinstance(text, str):
            try:
                found.append(Decimal(text))
            except InvalidOperation:
                pass
    return found


def detail_characters(record: Record) -> int:
    detail = (record.params or [None])[-1]
    return sum(len(str(value)) for value in detail.values()) if isinstance(detail, dict) else 0


def reply_of(replay: Replay, record: Record) -> str:
    # Sent as a request that must be answered, also where the C system did not.
    outcome = replay.send(record._replace(ending=None))
    assert outcome.ending is None, f"{record.name} {record.params}: the connection was {outcome.ending}"
    return outcome.replies[0].body.decode()


def state(replay: Replay, record: Record) -> list[str]:
    """Everything a request could have changed: sums of all assets and books, this user, these books."""
    user = (record.params or [1])[0]
    asked = [(BALANCE_QUERY, [number]) for number in {*USERS, user}]
    asked += [(ORDER_BOOK, ["BTCBCH", side, 0, 100]) for side in (1, 2)]
    asked += [(ASSET_SUMMARY, []), (MARKET_SUMMARY, []), (DEPTH, ["BTCBCH", 100, "0"])]
    return [replay.ask(command, params) for command, params in asked]
