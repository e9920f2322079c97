"""An order, and the numbers that name its kind and side on the wire and in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matchengine.core.order_book import PriceLevel

ASK = 1
BID = 2

LIMIT = 1
MARKET = 2


class Order:
    """One order, resting or just executed. Owned by the engine; nobody else changes it.

    Scales (decimals) of the integers, with s, m, f the market's stock, money and fee precision:
    price m; amount s; left s, but s+m for a market buy (money still to spend); taker_fee and
    maker_fee f; deal_stock s; deal_money s+m; deal_fee s+f for a buyer (paid in stock), s+m+f for a
    seller (paid in money). Times are whole microseconds since 1970. `source` is None for orders
    whose origin was lost before they came to us.

    `level`, `previous` and `next` link a resting order into its price level; they are None for all
    others, so that a finished order is freed at once although the collector is off.
    """

    __slots__ = (
        "amount",
        "created_us",
        "deal_fee",
        "deal_money",
        "deal_stock",
        "id",
        "kind",
        "left",
        "level",
        "maker_fee",
        "market",
        "next",
        "previous",
        "price",
        "side",
        "source",
        "taker_fee",
        "updated_us",
        "user",
    )

    def __init__(
        self,
        id: int,
        market: str,
        kind: int,
        side: int,
        user: int,
        price: int,
        amount: int,
        left: int,
        taker_fee: int,
        maker_fee: int,
        source: str | None,
        time_us: int,
    ) -> None:
        self.id = id
        self.market = market
        self.kind = kind
        self.side = side
        self.user = user
        self.price = price
        self.amount = amount
        self.left = left
        self.taker_fee = taker_fee
        self.maker_fee = maker_fee
        self.source = source
        self.created_us = time_us
        self.updated_us = time_us
        self.deal_stock = 0
        self.deal_money = 0
        self.deal_fee = 0
        self.level: PriceLevel | None = None
        self.previous: Order | None = None
        self.next: Order | None = None

    def detached_copy(self) -> Order:
        """The same order as it stands now, linked to nothing."""
        copy = Order(
            self.id,
            self.market,
            self.kind,
            self.side,
            self.user,
            self.price,
            self.amount,
            self.left,
            self.taker_fee,
            self.maker_fee,
            self.source,
            self.created_us,
        )
        copy.updated_us = self.updated_us
        copy.deal_stock = self.deal_stock
        copy.deal_money = self.deal_money
        copy.deal_fee = self.deal_fee
        return copy
