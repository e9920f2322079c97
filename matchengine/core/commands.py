"""The commands that change state: what the journal holds and the engine applies.

Numbers are integers at the scales that the rules in force give (see `Order`); text has been checked.
`time_us` is journal time, whole microseconds since 1970, never going back. `key` is the client's
idempotency key or "". Kinds and field orders are written to journals: they never change meaning, a
new need gets a new kind.
"""

from __future__ import annotations

import msgspec


class UpdateBalance(msgspec.Struct, array_like=True, gc=False):
    """Deposit (change >= 0) or withdrawal, at the asset's prec_save."""

    time_us: int
    user: int
    asset: str
    business: str
    business_id: int
    change: int
    key: str


class PutLimit(msgspec.Struct, array_like=True, gc=False):
    """A limit order: executes what crosses, rests the remainder."""

    time_us: int
    user: int
    market: str
    side: int
    amount: int
    price: int
    taker_fee: int
    maker_fee: int
    source: str
    key: str


class PutMarket(msgspec.Struct, array_like=True, gc=False):
    """A market order; for a buy `amount` is money to spend, at stock_prec."""

    time_us: int
    user: int
    market: str
    side: int
    amount: int
    taker_fee: int
    source: str
    key: str


class CancelOrder(msgspec.Struct, array_like=True, gc=False):
    """Takes a resting order out of its book."""

    time_us: int
    user: int
    market: str
    order_id: int
    key: str


class ChangeRules(msgspec.Struct, array_like=True, gc=False):
    """Puts other rules in force; `rules` is `Rules` as plain builtins."""

    time_us: int
    rules: dict[str, object]
    key: str = ""


class ShiftAge(msgspec.Struct, array_like=True, gc=False):
    """Sets by how many microseconds ageing lags behind journal time (a clock step that no operator
    has accepted does not make anything expire; see sequencer)."""

    time_us: int
    offset_us: int
    key: str = ""


Command = UpdateBalance | PutLimit | PutMarket | CancelOrder | ChangeRules | ShiftAge

# The numbers in journal records. The four commands of the C system are operations: they alone
# consume an operation id (protocol.md 4.1).
KINDS: dict[int, type[Command]] = {
    1: UpdateBalance,
    2: PutLimit,
    3: PutMarket,
    4: CancelOrder,
    10: ChangeRules,
    11: ShiftAge,
}
KIND_OF: dict[type[Command], int] = {command: kind for kind, command in KINDS.items()}
OPERATION_KINDS = frozenset((1, 2, 3, 4))
