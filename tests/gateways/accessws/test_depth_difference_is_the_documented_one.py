"""The walk of protocol.md 9.7, with the examples of 13.4."""

from __future__ import annotations

import pytest

from gateways.accessws.depth_diff import side_difference

CASES = [
    # limit, side, old, new, expected
    (5, "ask", "10:1 11:2 13:1", "10:1 12:4 13:3", "11:0 12:4 13:3"),
    (5, "ask", "1:1 2:1 3:1 4:1 5:1", "0:7 1:1 2:1 3:1 4:1", "0:7"),  # 5 fell out of the window
    (5, "ask", "1:1 2:1 3:1", "1:1", "2:0 3:0"),
    (5, "ask", "", "1:1 2:2", "1:1 2:2"),
    (5, "ask", "1:1 2:2", "", "1:0 2:0"),
    (2, "ask", "1:1 2:2", "2:2 3:3", "1:0 3:3"),
    (2, "ask", "1:1 2:2", "1:1 2:2", ""),
    (5, "bid", "9:1 8:2 6:1", "9:1 7:4 6:3", "8:0 7:4 6:3"),
    (3, "bid", "9:1 8:1 7:1", "10:1 9:1 8:1", "10:1"),
    (3, "bid", "9:1 8:1 7:1", "8:1 7:1 6:5", "9:0 6:5"),
]


@pytest.mark.parametrize(("limit", "side", "old", "new", "expected"), CASES)
def test_walk(limit: int, side: str, old: str, new: str, expected: str) -> None:
    found = side_difference(levels(old), levels(new), limit, is_ask=side == "ask")
    assert found == levels(expected)


def levels(text: str) -> list[tuple[int, int]]:
    return [(int(price), int(amount)) for price, _, amount in (word.partition(":") for word in text.split())]
