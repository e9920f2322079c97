"""The latest deals, newest first, at most 10000."""

from __future__ import annotations

from marketprice.core.trades import RECENT_MAX
from tests.marketprice.history import Trade, markets_of


def test_newest_first_until_a_known_id_or_the_limit() -> None:
    made = [Trade(10**12, "M", "1", "1", 1, number) for number in (1, 2, 5, 9)]
    recent = markets_of(made).by_name["M"].recent
    assert [deal.id for deal in recent.after(0, 100)] == [9, 5, 2, 1]
    assert [deal.id for deal in recent.after(0, 2)] == [9, 5]
    assert [deal.id for deal in recent.after(2, 100)] == [9, 5]
    assert [deal.id for deal in recent.after(3, 100)] == [9, 5]
    assert recent.after(9, 100) == []
    assert [deal.id for deal in recent.after(-5, 100)] == [9, 5, 2, 1]


def test_the_oldest_fall_out() -> None:
    market = markets_of(
        Trade(10**12, "M", "1", "1", 1, number) for number in range(1, RECENT_MAX + 6)
    ).by_name["M"]
    found = market.recent.after(0, RECENT_MAX)
    assert (len(found), found[0].id, found[-1].id) == (RECENT_MAX, RECENT_MAX + 5, 6)
    assert len(market.unsaved_deals) == RECENT_MAX
