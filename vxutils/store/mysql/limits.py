"""What the columns in force can hold, as rules for the engine's door: pure functions on what is asked.

    columns of both databases -> Limits -> order_problem, update_problem, text_problem -> None or an Unfit

A request is refused when its own values do not fit or would lose digits. What follows from several requests
(fills, sums, fees) is not known at the door; it stays in range as long as nobody's balance can leave the
column of balances, which is why an update is judged by the total of its asset. Decimals of fills and fees
past those of the columns are rounded by the server, as they always were; wider columns keep more of them.

Source: protocol.md 4.2, 4.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from vxutils.fixed import power10
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import FoundColumn, found_columns, parse_type
from vxutils.store.mysql.tables import EXAMPLE, FAMILIES, LOG_TABLES, tables_of

GROWTH_MAX: Final = 6
"""How many times longer than the request a stored text may be: `0.1,` becomes `0.10000000000000001, `."""

ADDED_BYTES: Final = 200  # method, member names and id around the parameters in the operation log

TEXT_BYTES: Final = {"text": 2**16 - 1, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}

Amount = tuple[int, int]
"""An integer count of 10^-scale, and the scale."""

Columns = Mapping[str, Mapping[str, FoundColumn]]


class Unfit(NamedTuple):
    """A parameter that does not fit, and what would."""

    parameter: str
    rule: str


class DecimalLimit(msgspec.Struct, frozen=True):
    """A DECIMAL(digits, scale)."""

    digits: int
    scale: int

    def holds(self, amount: Amount) -> bool:
        """Whether the column has every digit of it."""
        value, scale = amount
        surplus = scale - self.scale
        return (surplus <= 0 or value % power10(surplus) == 0) and self.is_in_range(amount)

    def is_in_range(self, amount: Amount) -> bool:
        """Whether the column takes it, digits past its scale rounded half away from zero."""
        value, scale = abs(amount[0]), amount[1]
        surplus = scale - self.scale
        if surplus > 0:
            value = (value + power10(surplus) // 2) // power10(surplus)
        else:
            value *= power10(-surplus)
        return value < power10(self.digits)

    def __str__(self) -> str:
        return f"at most {self.digits - self.scale} digits before the dot and {self.scale} after it"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The narrowest of all columns that a value goes to. Names in characters, texts in bytes."""

    market_characters: int
    source_characters: int
    asset_characters: int
    business_characters: int
    detail_bytes: int
    operation_bytes: int
    takes_four_byte_characters: bool
    amount: DecimalLimit
    price: DecimalLimit
    rate: DecimalLimit
    change: DecimalLimit
    balance: DecimalLimit


def order_problem(
    limits: Limits,
    market: str,
    source: str,
    amount: Amount,
    price: Amount,
    rates: Iterable[tuple[str, Amount]],
) -> Unfit | None:
    """What of an order does not fit. `rates`: parameter name and value of each fee; a price of 0 always fits.

    Raises nothing; values are those after they were cut to the decimals of the market.
    """
    if len(market) > limits.market_characters:
        return Unfit("market", f"at most {limits.market_characters} characters")
    if len(source) > limits.source_characters:
        return Unfit("source", f"at most {limits.source_characters} characters")
    if not limits.amount.holds(amount):
        return Unfit("amount", str(limits.amount))
    if not limits.price.holds(price):
        return Unfit("price", str(limits.price))
    for name, rate in rates:
        if not limits.rate.holds(rate):
            return Unfit(name, str(limits.rate))
    return None


def update_problem(
    limits: Limits, asset: str, business: str, change: Amount, total_after: Amount
) -> Unfit | None:
    """What of a balance update does not fit. `total_after`: what all users have of the asset then."""
    if len(asset) > limits.asset_characters:
        return Unfit("asset", f"at most {limits.asset_characters} characters")
    if len(business) > limits.business_characters:
        return Unfit("business", f"at most {limits.business_characters} characters")
    if not limits.change.holds(change):
        return Unfit("change", str(limits.change))
    if change[0] > 0 and not limits.balance.is_in_range(total_after):
        rule = f"a total of the asset with at most {limits.balance.digits - limits.balance.scale} digits"
        return Unfit("change", rule)
    return None


def surely_fits(limits: Limits, params: bytes) -> bool:
    """Whether the stored texts of a request fit for certain; cheap, and true for nearly all. Else make the
    texts and ask `text_problem`."""
    bytes_max = min(limits.detail_bytes, limits.operation_bytes)
    if len(params) * GROWTH_MAX + ADDED_BYTES > bytes_max:
        return False
    return limits.takes_four_byte_characters or _FOUR_BYTES.search(params) is None


def text_problem(limits: Limits, operation: str, detail: str = "") -> Unfit | None:
    """What of the texts of a request does not fit: its entry in the operation log, and the detail of an
    update."""
    for parameter, text, bytes_max in (
        ("detail", detail, limits.detail_bytes),
        ("params", operation, limits.operation_bytes),
    ):
        if len(text) * 4 > bytes_max and len(text.encode()) > bytes_max:
            return Unfit(parameter, f"at most {bytes_max} bytes where it is stored")
        if not limits.takes_four_byte_characters and text and max(text) > "\uffff":
            return Unfit(parameter, "characters up to U+FFFF")
    return None


def read_limits(log: Database, history: Database) -> Limits:
    """The limits of both databases as they are. Raises: MysqlError."""
    return limits_of({"log": found_columns(log), "history": found_columns(history)})


def limits_of(databases: Mapping[str, Columns]) -> Limits:
    """The narrowest columns; those of day and slice tables are those of their examples."""
    found: dict[str, list[FoundColumn]] = {}
    for kind in ("log", "history"):
        for table in tables_of(kind):
            family = table.rpartition("_")[0]
            for column, described in databases[kind].get(table, {}).items():
                name = _PLACES.get((family, column))
                if name is not None:
                    found.setdefault(name, []).append(described)

    def smallest(name: str) -> int:
        return min(_size(described.type) for described in found[name])

    def narrowest(name: str) -> DecimalLimit:
        types = [parse_type(described.type) for described in found[name]]
        scale = min(one.scale for one in types)
        return DecimalLimit(min(one.size - one.scale for one in types) + scale, scale)

    texts = ("market", "source", "asset", "business", "detail", "operation")
    return Limits(
        market_characters=smallest("market"),
        source_characters=smallest("source"),
        asset_characters=smallest("asset"),
        business_characters=smallest("business"),
        detail_bytes=smallest("detail"),
        operation_bytes=smallest("operation"),
        takes_four_byte_characters=all(
            described.charset == "utf8mb4" for name in texts for described in found[name]
        ),
        amount=narrowest("amount"),
        price=narrowest("price"),
        rate=narrowest("rate"),
        change=narrowest("change"),
        balance=narrowest("balance"),
    )


# (family, column) -> the limit it counts for. Names in the operation log are inside its detail.
_PLACES: Final = {
    ("operlog", "detail"): "operation",
    ("slice_balance", "asset"): "asset",
    ("slice_balance", "balance"): "balance",
    ("slice_order", "market"): "market",
    ("slice_order", "price"): "price",
    ("slice_order", "amount"): "amount",
    ("slice_order", "left"): "amount",
    ("slice_order", "deal_stock"): "amount",
    ("slice_order", "taker_fee"): "rate",
    ("slice_order", "maker_fee"): "rate",
    ("balance_history", "asset"): "asset",
    ("balance_history", "business"): "business",
    ("balance_history", "change"): "change",
    ("balance_history", "balance"): "balance",
    ("balance_history", "detail"): "detail",
    ("user_deal_history", "market"): "market",
    **{(family, "price"): "price" for family in FAMILIES if family != "balance_history"},
    **{(family, "amount"): "amount" for family in FAMILIES if family != "balance_history"},
    **{
        (family, column): name
        for family in ("order_history", "order_detail")
        for column, name in (
            ("market", "market"),
            ("source", "source"),
            ("deal_stock", "amount"),
            ("taker_fee", "rate"),
            ("maker_fee", "rate"),
        )
    },
}

_FOUR_BYTES: Final = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")
"""A character past U+FFFF in JSON: in UTF-8, or as a pair of escapes. May find one too many."""


def _size(kind: str) -> int:
    parsed = parse_type(kind)
    return TEXT_BYTES.get(parsed.word, parsed.size)


def _c_columns() -> dict[str, Columns]:
    examples = {f"{family}_{EXAMPLE}": table for family, table in FAMILIES.items()}
    return {
        kind: {
            name: {column.name: FoundColumn(column.type, "utf8mb3") for column in table.columns}
            for name, table in tables.items()
        }
        for kind, tables in (("log", LOG_TABLES), ("history", examples))
    }


C_LIMITS: Final = limits_of(_c_columns())
"""Those of the C system's columns: never wider than the ones in force, since narrower ones are refused."""
