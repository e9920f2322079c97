"""The balances of one asset: what each user has available, and what open orders hold frozen.

Amounts are integers at the asset's `prec_save`. A balance of zero is not stored. The sums that the
conservation law needs (design: sum of balances = supply - fees) are kept as the balances move, so
that `asset.summary` never walks the users. Callers check before they take: taking more than there
is, is our own fault and asserts. Every balance that is written goes to `wrote` too (see `trace`).
"""

from __future__ import annotations

from collections.abc import Callable


class AssetLedger:
    """All balances of one asset. The only mutator of its dictionaries."""

    __slots__ = (
        "available",
        "fees",
        "frozen",
        "frozen_total",
        "name",
        "prec_save",
        "prec_show",
        "supply",
        "wrote",
    )

    def __init__(self, name: str, prec_save: int, prec_show: int) -> None:
        self.name = name
        self.prec_save = prec_save
        self.prec_show = prec_show
        self.available: dict[int, int] = {}
        self.frozen: dict[int, int] = {}
        self.frozen_total = 0
        self.supply = 0  # deposits - withdrawals
        self.fees = 0  # taken by trades, with what rounding took
        self.wrote: Callable[[int], None] = _nobody_listens

    @property
    def total(self) -> int:
        """Available and frozen of all users together."""
        return self.supply - self.fees

    def deposit(self, user: int, amount: int) -> None:
        """Brings `amount` >= 0 into the system."""
        self.supply += amount
        self.credit(user, amount)

    def withdraw(self, user: int, amount: int) -> None:
        """Takes `amount` >= 0, which the user has available, out of the system."""
        self.supply -= amount
        self.debit(user, amount)

    def credit(self, user: int, amount: int) -> None:
        """Adds to what the user has available."""
        if amount:
            available = self.available
            available[user] = rest = available.get(user, 0) + amount
            self.wrote(rest)

    def debit(self, user: int, amount: int) -> None:
        """Takes from what the user has available."""
        available = self.available
        rest = available.get(user, 0) - amount
        self.wrote(rest)
        if rest > 0:
            available[user] = rest
        else:
            assert rest == 0, "available balance would become negative"
            available.pop(user, None)

    def earn(self, user: int, amount: int, fee: int) -> None:
        """Adds `amount` without the `fee` on it (0 <= fee <= amount) to what the user has available."""
        self.fees += fee
        if amount != fee:
            available = self.available
            available[user] = rest = available.get(user, 0) + amount - fee
            self.wrote(rest)

    def freeze(self, user: int, amount: int) -> None:
        """Moves `amount` from available to frozen."""
        self.debit(user, amount)
        frozen = self.frozen
        frozen[user] = rest = frozen.get(user, 0) + amount
        self.wrote(rest)
        self.frozen_total += amount

    def spend_frozen(self, user: int, amount: int) -> None:
        """Takes from what is frozen for the user."""
        frozen = self.frozen
        rest = frozen[user] - amount
        self.wrote(rest)
        self.frozen_total -= amount
        if rest > 0:
            frozen[user] = rest
        else:
            assert rest == 0, "frozen balance would become negative"
            del frozen[user]

    def unfreeze(self, user: int, amount: int) -> None:
        """Moves `amount` from frozen back to available."""
        self.spend_frozen(user, amount)
        self.credit(user, amount)


def _nobody_listens(value: int) -> None:
    """Until an engine takes the ledger in."""
