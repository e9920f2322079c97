"""Histories with made-up rows: one record each, whose rows and messages tell its sequence."""

from __future__ import annotations

from pathlib import Path

from vxutils.store.embedded.schema import HistoryBase, HistoryBatch, HistoryPosition
from vxutils.store.embedded.writer import HistoryWriter, open_history

SYSTEM_ID = bytes(range(16))
BEGIN_US = 1_700_000_000_000_000
STEP_US = 1_000_000  # between two records

USERS = (1, 2, 3)
ASSETS = ("BCH", "BTC", "USD")
BUSINESSES = ("deposit", "trade")
MARKETS = ("BTCBCH", "BTCUSD")


def time_of(sequence: int) -> int:
    return BEGIN_US + sequence * STEP_US


def batch_of(after: int, through: int) -> HistoryBatch:
    """Records `after` + 1 .. `through`: each an operation, a balance row, an order, both sides of a deal."""
    batch = HistoryBatch(after, HistoryPosition(through, 1, time_of(through), through.to_bytes(8, "little")))
    for sequence in range(after + 1, through + 1):
        time_us, user = time_of(sequence), USERS[sequence % 3]
        asset, business = ASSETS[sequence // 3 % 3], BUSINESSES[sequence // 9 % 2]
        market, side = MARKETS[sequence // 3 % 2], 1 + sequence // 6 % 2
        text = str(sequence)
        batch.operlog.append((sequence, sequence, time_us, text))
        batch.balances.append((sequence, time_us, user, asset, business, text, text, "{}"))
        order = (market, "test", 1, side, "1", "2", "0.002", "0.001", "3", "4", "5")
        batch.orders.append((sequence, sequence, time_us, time_us + 1, user, *order))
        for own, other in ((sequence, sequence - 1), (sequence - 1, sequence)):
            deal = (own, other, side, 1, market, "1", "2", "3", "4", text)
            batch.deals.append((sequence, time_us, user, sequence, *deal))
        batch.messages.append(("deals", sequence, 0, text))
        if sequence % 2:
            batch.messages.append(("orders", sequence, 1, text))
    return batch


def make_history(path: Path, records: int = 0, base: HistoryBase | None = None) -> HistoryWriter:
    """An open history with the records up to this one; batches of 50."""
    writer = open_history(path, SYSTEM_ID, base)
    while (after := writer.position.sequence) < records:
        writer.append(batch_of(after, min(records, after + 50)))
    return writer
