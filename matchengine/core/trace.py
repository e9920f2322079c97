"""The trace: one number that follows every value that is written to balances and open orders.

    ledger, matching --written value--> list --fold--> crc32 over the packed values --Mark--> outcome, 0

Two engines that execute the same journal have equal traces as long as all values they write are equal, also
those that decide nothing yet: a balance that went wrong shows at the next mark after somebody touches it,
not at the trade that it would have refused. The number depends on the values and their order alone, not on
when they are folded, and is the same on every machine and in every version of Python.

Values are folded modulo a prime, so any size costs the same, and no single wrong digit or bit goes unseen.
Whose value it is, is not folded: the outcomes pin that. It knows no ledger and no engine; the engine owns it.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from vxutils.packing import Packer

NO_TRACE: Final = -1  # what a mark says where nothing has been followed yet: at the first one of a journal
FOLD_VALUES: Final = 4096  # values that may wait: folded together they cost 30 ns each
PRIME: Final = (1 << 61) - 1


class Trace:
    """`written` takes the values; whoever fills it folds when it holds FOLD_VALUES."""

    __slots__ = ("_pack", "_value", "written")

    def __init__(self) -> None:
        self.written: list[int] = []
        self._value: int | None = None
        self._pack = Packer().pack

    def fold(self) -> None:
        """Takes what waits into the number. Without a number yet it is only forgotten."""
        written = self.written
        if self._value is not None and written:
            packed = self._pack([value % PRIME for value in written])
            count = len(written)
            # Without the header of the array: the same bytes however often they are folded.
            header = 1 if count < 16 else 3 if count < 65536 else 5
            self._value = crc32(packed[header:], self._value)
        written.clear()

    @property
    def value(self) -> int | None:
        """The number since the last mark; None before the first one."""
        self.fold()
        return self._value

    def restart(self, value: int = 0) -> None:
        """Goes on from `value`: 0 after a mark, what a slice holds after a start."""
        self.written.clear()
        self._value = value
