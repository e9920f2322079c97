"""Every reply that deliberately differs from the recording of the C system, and why.

`CLASSES` names the differences, `DIFFERENCES` the recorded requests that show one. Anything that is not in
here must be equal; an entry whose reply turns out equal fails the test. docs/differences.md explains the
same classes to operators, in the same words of the first column.
"""

from __future__ import annotations

from typing import Any, NamedTuple

REFUSED = '{"error": {"code": 1, "message": "invalid argument"}, "result": null, "id": %d}'

# Shown by recorded requests.
LONG_BUSINESS = "business longer than 30 characters"
WRAPPED_INTEGER = "integers outside their range"
NON_FINITE = "NaN and infinity"
HUGE_VALUE = "values of 10^30 and more"
SUM_PAST_34_DIGITS = "results past 34 digits"
NEGATIVE_ZERO = "negative zero"
LARGE_DETAIL = "detail larger than 4 KiB"

# Not shown by any recorded request; docs/differences.md says what they are.
UNRECORDED = frozenset(
    {
        "long or tiny decimal text",
        "precision 0",
        "min_amount with an exponent",
        "rules that can not be right",
        "cache_timeout left out",
        "stores named in config.json",
        "values that the databases can not hold",
        "buf_limit 0",
        "heartbeat over UDP",
        "heartbeat body",
        "short or cut datagrams",
        "UDP reply address",
        "announced size",
        "commands that waited",
        "nesting of JSON",
        "ext of mutating commands",
        "unix sockets",
        "address syntax",
        "reply before durable",
        "state after a restart",
        "repeat update memory",
        "times within one command",
    }
)

CLASSES = UNRECORDED | {
    LONG_BUSINESS,
    WRAPPED_INTEGER,
    NON_FINITE,
    HUGE_VALUE,
    SUM_PAST_34_DIGITS,
    NEGATIVE_ZERO,
    LARGE_DETAIL,
}


class Difference(NamedTuple):
    """What differs in the reply to one recorded request.

    `changes` are replacements that turn the recorded reply into ours; without any, ours is error 1.
    `substitute` are the parameters of a legal request sent behind it where the C system's state moved on
    and ours did not, so that the rest of the file stays equal.
    """

    kind: str
    changes: tuple[tuple[str, str], ...] = ()
    substitute: list[Any] | None = None

    def reply(self, recorded: str | None, request_id: int) -> str:
        """Our reply, in the form it is recorded. Raises: AssertionError if the entry changes nothing."""
        if not self.changes:
            return REFUSED % request_id
        assert recorded is not None
        reply = recorded
        for old, new in self.changes:
            assert old in reply, f"{self.kind}: nothing to change in {recorded}"
            reply = reply.replace(old, new)
        return reply


DIFFERENCES: dict[tuple[str, int], Difference] = {
    ("01_balances", 35): Difference(LONG_BUSINESS, substitute=[1, "ZEC", "of 31", 19, "1", {}]),
    ("01_balances", 36): Difference(LONG_BUSINESS, substitute=[1, "ZEC", "of 32", 19, "1", {}]),
    ("01_balances", 37): Difference(LONG_BUSINESS),  # a repeat for the C system, which cuts it at 32
    ("01_balances", 44): Difference(WRAPPED_INTEGER, substitute=[7, "ZEC", "deposit", 21, "2", {}]),
    ("01_balances", 46): Difference(WRAPPED_INTEGER, substitute=[4294967295, "ZEC", "deposit", 22, "3", {}]),
    ("01_balances", 48): Difference(WRAPPED_INTEGER),
    ("04_cancel_and_query", 82): Difference(WRAPPED_INTEGER),
    ("04_cancel_and_query", 83): Difference(WRAPPED_INTEGER),
    ("04_cancel_and_query", 98): Difference(WRAPPED_INTEGER, substitute=[1, "BTCBCH", 4]),
    ("05_depth", 97): Difference(NON_FINITE),
    ("05_depth", 98): Difference(NON_FINITE),
    ("05_depth", 99): Difference(NON_FINITE),
    ("05_depth", 100): Difference(NON_FINITE),
    ("05_depth", 101): Difference(HUGE_VALUE),
    ("05_depth", 102): Difference(HUGE_VALUE),
    ("06_bad_input", 35): Difference(SUM_PAST_34_DIGITS, ((".6234567", ".62345678"),)),
    ("06_bad_input", 59): Difference(LONG_BUSINESS, substitute=[3, "BTC", "of 110", 1, "1", {}]),
    ("06_bad_input", 118): Difference(NEGATIVE_ZERO, (('"-0"', '"0"'),)),
    ("06_bad_input", 149): Difference(NEGATIVE_ZERO, (('"-0"', '"0"'),)),
    ("06_bad_input", 155): Difference(NEGATIVE_ZERO, (('"-0"', '"0"'),)),
    ("06_bad_input", 186): Difference(NEGATIVE_ZERO, (('"-0"', '"0"'),)),
    ("06_bad_input", 197): Difference(WRAPPED_INTEGER),
    ("06_bad_input", 211): Difference(
        WRAPPED_INTEGER, substitute=[1, "BTCBCH", 1, "1", "150", "0.002", "0.001", "api"]
    ),
    ("06_bad_input", 269): Difference(WRAPPED_INTEGER),
    ("06_bad_input", 303): Difference(WRAPPED_INTEGER),
    ("06_bad_input", 304): Difference(WRAPPED_INTEGER),
    ("06_bad_input", 337): Difference(WRAPPED_INTEGER),
    ("06_bad_input", 362): Difference(
        SUM_PAST_34_DIGITS, (("098.6183866", "098.61838678"), ("882.7249299", "882.72493001"))
    ),
    ("06_bad_input", 366): Difference(
        SUM_PAST_34_DIGITS, (("098.6183866", "098.61838678"), ("882.7249299", "882.72493001"))
    ),
    ("06_bad_input", 371): Difference(SUM_PAST_34_DIGITS, ((".6234567", ".62345678"),)),
    ("06c_hang_crash", 7): Difference(NON_FINITE),
    ("06c_hang_crash", 30): Difference(LARGE_DETAIL),
}
