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


class Mark(msgspec.Struct, array_like=True, gc=False):
    """Changes nothing; its outcome is the trace of everything written since the mark before, so whoever
    replays it proves its own state too, not only its decisions (see trace)."""

    time_us: int
    key: str = ""


class JumpIds(msgspec.Struct, array_like=True, gc=False):
    """Lets all ids go on after these: a restored exchange never gives one a second time that a client may
    have seen. None of them goes down. `operation_id` counts in the journal only (see sequencer)."""

    time_us: int
    order_id: int
    deal_id: int
    operation_id: int
    key: str = ""


Command = UpdateBalance | PutLimit | PutMarket | CancelOrder | ChangeRules | ShiftAge | Mark | JumpIds

# The numbers in journal records. The four commands of the C system are operations: they alone
# consume an operation id (protocol.md 4.1).
KINDS: dict[int, type[Command]] = {
    1: UpdateBalance,
    2: PutLimit,
    3: PutMarket,
    4: CancelOrder,
    10: ChangeRules,
    11: ShiftAge,
    12: Mark,
    13: JumpIds,
}
KIND_OF: dict[type[Command], int] = {command: kind for kind, command in KINDS.items()}
OPERATION_KINDS = frozenset((1, 2, 3, 4))
