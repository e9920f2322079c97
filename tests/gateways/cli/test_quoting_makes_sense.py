"""What the demo's traders decide: orders that any market takes, ladders that never cross."""

from __future__ import annotations

import random

import pytest

from gateways.cli.quoting import (
    BUY,
    LEVELS,
    SELL,
    MarketRules,
    OpenOrder,
    Quote,
    Terms,
    Walk,
    ladder,
    requote,
    taken,
)
from vxutils import fixed

# stock_prec, money_prec, fee_prec, min_amount, last price, start price
MARKETS = [
    (6, 2, 4, "0.00001", "0", "60000"),
    (6, 2, 4, "1e-5", "61234.56", "61234.56"),
    (0, 0, 0, "1", "0", "60000"),
    (2, 8, 2, "25", "0.00000003", "0.000002"),
    (8, 0, 4, "0", "1", "200"),
    (1, 3, 3, "0.123", "7", "7"),
]
MAKERS = 3


def terms_of(case: tuple[int, int, int, str, str, str]) -> Terms:
    stock_prec, money_prec, fee_prec, min_amount, last, _ = case
    return Terms(MarketRules("M", "BTC", "USDT", stock_prec, money_prec, fee_prec, min_amount), last)


@pytest.mark.parametrize("case", MARKETS)
def test_orders_fit_the_rules_of_the_market(case: tuple[int, int, int, str, str, str]) -> None:
    terms, chance = terms_of(case), random.Random(1)
    assert terms.price_text(terms.start_ticks) == case[5]
    minimum = float(case[3])
    for _ in range(200):
        quote = taken(terms, terms.start_ticks, chance)
        _, side, amount, price, taker_fee, maker_fee = terms.limit_params(quote)
        assert side in (SELL, BUY) and float(amount) >= max(minimum, 1e-12) and float(price) > 0
        for text, scale in ((amount, case[0]), (price, case[1]), (taker_fee, case[2]), (maker_fee, case[2])):
            exact = fixed.parse_exact(text)
            assert exact is not None and exact[1] <= scale, (text, scale)
        _, side, amount, _ = terms.market_params(quote)
        least = minimum * (quote.price_ticks / 10 ** case[1] if side == BUY else 1)
        assert float(amount) >= least * 0.999


def test_a_market_buy_names_its_money() -> None:
    terms = terms_of(MARKETS[0])
    quote = Quote(BUY, price_ticks=6_000_000, amount_units=50_000, is_market=True)
    assert terms.market_params(quote)[:3] == ("M", BUY, "3000")
    assert terms.limit_params(quote)[:4] == ("M", BUY, "0.05", "60000")


@pytest.mark.parametrize("case", MARKETS)
def test_ladders_have_all_levels_and_never_cross(case: tuple[int, int, int, str, str, str]) -> None:
    terms = terms_of(case)
    for center in range(terms.start_ticks // 2, terms.start_ticks * 2, max(1, terms.start_ticks // 77)):
        for maker in range(MAKERS):
            wanted = ladder(terms, center, maker, MAKERS)
            asks = [price for side, price in wanted if side == SELL]
            bids = [price for side, price in wanted if side == BUY]
            assert len(asks) == len(bids) == LEVELS
            assert min(bids) > 0 and max(bids) < center < min(asks)


def test_a_requoted_book_is_the_ladder() -> None:
    terms, chance = terms_of(MARKETS[0]), random.Random(2)
    resting: list[OpenOrder] = []
    next_id = 1
    for step in range(50):
        wanted = ladder(terms, terms.start_ticks + step * 700, 0, MAKERS)
        cancels, quotes = requote(terms, wanted, resting, chance)
        assert step == 0 or len(quotes) < 2 * LEVELS, "a small move replaces few orders"
        resting = [order for order in resting if order.id not in cancels]
        for quote in quotes:
            resting.append(OpenOrder(next_id, quote.side, terms.price_text(quote.price_ticks)))
            next_id += 1
        placed = [(order.side, fixed.parse(order.price, 2)) for order in resting]
        assert set(placed) == wanted and len(placed) == len(wanted)
        resting = [order for order in resting if chance.random() < 0.8]  # the others were taken


def test_a_walk_stays_near_its_start_and_goes_after_trades() -> None:
    terms = terms_of(MARKETS[0])
    walk = Walk(terms, random.Random(3))
    for _ in range(1_000):
        walk.step()
        walk.follow("1")
    assert walk.ticks == terms.start_ticks // 2
    for _ in range(1_000):
        walk.follow("1000000000")
    assert walk.ticks == terms.start_ticks * 2


def test_the_same_seed_walks_the_same_way() -> None:
    def places(seed: int) -> list[int]:
        walk = Walk(terms_of(MARKETS[0]), random.Random(seed))
        found = []
        for _ in range(20):
            walk.step()
            found.append(walk.ticks)
        return found

    assert places(4) == places(4) != places(5)
