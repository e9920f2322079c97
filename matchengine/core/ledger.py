"""The balances of one asset: what each user has available, and what open orders hold frozen.

Amounts are integers at the asset's `prec_save`. A balance of zero is not stored. The sums that the
conservation law needs (design: sum of balances = supply - fees) are kept as the balances move, so
that `asset.summary` never walks the users. Callers check before they take: taking more than there
is, is our own fault and asserts.
"""

from __future__ import annotations


class AssetLedger:
    """All balances of one asset. The only mutator of its dictionaries."""

    __slots__ = ("available", "fees", "frozen", "frozen_total", "name", "prec_save", "prec_show", "supply")

    def __init__(self, name: str, prec_save: int, prec_show: int) -> None:
        self.name = name
        self.prec_save = prec_save
        self.prec_show = prec_show
        self.available: dict[int, int] = {}
        self.frozen: dict[int, int] = {}
        self.frozen_total = 0
        self.supply = 0  # deposits - withdrawals
        self.fees = 0  # taken by trades, with what rounding took

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
            available[user] = available.get(user, 0) + amount

    def debit(self, user: int, amount: int) -> None:
        """Takes from what the user has available."""
        available = self.available
        rest = available.get(user, 0) - amount
        if rest > 0:
            available[user] = rest
        else:
            assert rest == 0, "available balance would become negative"
            available.pop(user, None)

    def charge(self, user: int, fee: int) -> None:
        """Takes a fee out of what the user has available."""
        self.fees += fee
        self.debit(user, fee)

    def freeze(self, user: int, amount: int) -> None:
        """Moves `amount` from available to frozen."""
        self.debit(user, amount)
        frozen = self.frozen
        frozen[user] = frozen.get(user, 0) + amount
        self.frozen_total += amount

    def spend_frozen(self, user: int, amount: int) -> None:
        """Takes from what is frozen for the user."""
        frozen = self.frozen
        rest = frozen[user] - amount
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
