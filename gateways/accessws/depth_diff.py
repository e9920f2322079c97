"""What changed between two depths: the algorithm that clients of `depth.update` are written against.

Levels are (price, amount) in integers of one scale each, best first. An amount of 0 says that the level is no
more. Pure.

Source: protocol.md 9.7, 13.4.
"""

from __future__ import annotations

from collections.abc import Sequence

Level = tuple[int, int]


def side_difference(old: Sequence[Level], new: Sequence[Level], limit: int, *, is_ask: bool) -> list[Level]:
    """The levels that a client has to set, or to remove (amount 0), to come from `old` to `new`.

    Levels that fall out because `limit` others are better are not told: clients cut to `limit`.
    """
    changes: list[Level] = []
    at_old = at_new = 0
    old_count, new_count = len(old), len(new)
    while at_old < old_count and at_new < new_count:
        old_price, old_amount = old[at_old]
        new_price, new_amount = new[at_new]
        if old_price == new_price:
            if old_amount != new_amount:
                changes.append(new[at_new])
            at_old += 1
            at_new += 1
        elif (new_price < old_price) == is_ask:  # the new one comes first
            changes.append(new[at_new])
            at_new += 1
        else:
            changes.append((old_price, 0))
            at_old += 1
    if new_count < limit:
        changes += [(price, 0) for price, _ in old[at_old:]]
    changes += new[at_new:]
    return changes
