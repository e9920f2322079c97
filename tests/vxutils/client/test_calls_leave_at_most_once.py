"""What is sent again, and what never is."""

from __future__ import annotations

import time

import pytest

from tests.support.processes import wait_until
from tests.vxutils.client.serving import CLIENTS, Caller, Silent, Step, error, result, scripted
from vxutils.client import ExchangeError, NoAnswer, Outcome
from vxutils.client.attempts import PAUSE_MAX_S, Attempts
from vxutils.client.request import make_request

Parameters = tuple[str, str | None]
QUERY = ("order.depth", None)
MUTATING = ("order.put_limit", None)
KEYED = ("order.put_limit", "key-1")

NOT_SENT = error(2, {"outcome": "not_sent"})

# What is called, with how many retries, the answers in order, how often it is sent, whether it succeeds.
TABLE: list[tuple[Parameters, int, list[Step], int, bool]] = [
    (QUERY, 0, [None], 1, False),
    (MUTATING, 0, [None], 1, False),
    (KEYED, 0, [None], 1, False),
    (MUTATING, 5, [None], 1, False),
    (MUTATING, 5, [NOT_SENT], 1, False),
    (MUTATING, 5, [error(3)], 1, False),
    (KEYED, 2, [None, None, result(1)], 3, True),
    (KEYED, 2, [None, None, None], 3, False),
    (KEYED, 3, [error(5), NOT_SENT, error(3), result(1)], 4, True),
    (KEYED, 3, [error(10)], 1, False),
    (KEYED, 3, [error(5), error(10)], 2, False),
    (QUERY, 2, [None, error(5), result(1)], 3, True),
    (QUERY, 2, [error(1)], 1, False),
]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("what", "retries", "steps", "sent", "succeeds"), TABLE)
def test_how_often_a_call_leaves(
    kind: str, what: Parameters, retries: int, steps: list[Step], sent: int, succeeds: bool
) -> None:
    method, key = what
    with scripted(*steps) as server, Caller(kind, server.url, retries=retries) as caller:
        if succeeds:
            assert caller.call(method, 1, key=key) == 1
        else:
            with pytest.raises(ExchangeError):
                caller.call(method, 1, key=key)
        assert len(server.seen) == sent
        assert {seen.body.get("idempotency_key") for seen in server.seen} == {key}
        assert len({str(seen.body["params"]) for seen in server.seen}) == 1


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_timeout_is_tried_again_with_a_key_only(kind: str) -> None:
    steps: list[Step] = [Silent(), result(1), Silent()]
    with scripted(*steps) as server, Caller(kind, server.url, retries=1, timeout_s=0.3) as caller:
        assert caller.call("order.cancel", 1, key="k") == 1
        with pytest.raises(NoAnswer) as raised:
            caller.call("order.cancel", 1)
        assert raised.value.outcome is Outcome.UNKNOWN
        assert len(server.seen) == 3


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("method", ["order.put_limit", "order.depth"])
def test_a_connection_closed_while_idle_costs_nothing(kind: str, method: str) -> None:
    """It is noticed before anything is sent on it, so even a call that changes something may go elsewhere."""
    with scripted(result(1), result(2)) as server, Caller(kind, server.url) as caller:
        assert caller.call(method, 1) == 1
        server.close_connections()
        time.sleep(0.05)  # until the end of the connection has surely come
        assert caller.call(method, 1) == 2
        assert [seen.connection for seen in server.seen] == [1, 2]


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_kept_connection_that_dies_under_a_call(kind: str) -> None:
    """A query is asked once more on a new connection, and not a third time; anything else is not."""
    steps: list[Step] = [result(1), None, result(2), None, None, result(3), None]
    with scripted(*steps) as server, Caller(kind, server.url) as caller:
        assert caller.call("market.list") == 1
        assert caller.call("market.list") == 2
        with pytest.raises(NoAnswer):
            caller.call("market.list")
        assert caller.call("market.list") == 3
        with pytest.raises(NoAnswer) as raised:
            caller.call("order.put_limit", 1)
        assert raised.value.outcome is Outcome.UNKNOWN
        wait_until(lambda: len(server.seen) == 7, "the last request")


def test_pauses_grow_and_end() -> None:
    attempts = Attempts(make_request("order.cancel", [], "k"), 9)
    failure = NoAnswer("gone", Outcome.UNKNOWN)
    pauses = [attempts.pause_after(failure) for _ in range(9)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, PAUSE_MAX_S, PAUSE_MAX_S, PAUSE_MAX_S]
    with pytest.raises(NoAnswer, match="gone"):
        attempts.pause_after(failure)
