"""Every deliberate difference of marketprice, readhistory and the alert centre from the C system.

Only the first candle shows in recorded answers: over HTTP (`differences_http`) and in those of
test_marketprice_recorded_answers. The tests of each service have the others. docs/differences.md explains the
same classes.
"""

from __future__ import annotations

# Shown by recorded exchanges.
FIRST_CANDLE = "first candle of a market"

# Not shown by any recorded exchange.
UNRECORDED = frozenset(
    {
        "numbers of a wrong JSON type in history queries",
        "history integers out of range",
        "history queries that take long",
        "size of candle queries",
        "time zones and daylight saving",
        "alerts without a line end",
        "where alerts are kept",
        "how often market data are written to Redis",
        "alerts in a burst",
    }
)

CLASSES = UNRECORDED | {FIRST_CANDLE}
