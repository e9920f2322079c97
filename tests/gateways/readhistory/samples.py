"""A `history.db` for the tests, written with the recorder's own writer, and settings of readhistory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vxutils.store.embedded.schema import HISTORY_FILE, HistoryBatch, HistoryPosition
from vxutils.store.embedded.writer import open_history

SYSTEM_ID = bytes(range(16))

TOML = """
worker_num = 2
[svr]
bind = ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"]
max_pkg_size = 100_000
[monitor]
address = "tcp@127.0.0.1:0"
"""


def c_config(**changed: object) -> dict[str, Any]:
    """A `config.json` of the C system, to be started with `--embedded`."""
    return {
        "debug": False,
        "process": {"file_limit": 0, "core_limit": 0},
        "log": {"path": "", "flag": "fatal,error,warn,info,notice", "num": 1},
        "alert": {"host": "test", "addr": ""},
        "svr": {
            "bind": ["tcp@127.0.0.1:0", "udp@127.0.0.1:0"],
            "buf_limit": 100,
            "max_pkg_size": 1_000_000,
            "heartbeat_check": False,
        },
        "db_history": {"host": "127.0.0.1", "user": "nobody", "pass": "none", "name": "trade_history"},
        "worker_num": 2,
        **changed,
    }


def write_history(
    data: Path,
    *,
    balances: Sequence[tuple[Any, ...]] = (),
    orders: Sequence[tuple[Any, ...]] = (),
    deals: Sequence[tuple[Any, ...]] = (),
    sequence: int = 1,
    time_us: int = 0,
    after: int = 0,
) -> None:
    """Append rows (columns without automatic ids) as the recorder does."""
    writer = open_history(data / HISTORY_FILE, SYSTEM_ID)
    position = HistoryPosition(sequence=sequence, epoch=1, time_us=time_us, digest=b"")
    writer.append(
        HistoryBatch(
            after_sequence=after,
            position=position,
            balances=list(balances),
            orders=list(orders),
            deals=list(deals),
        )
    )
    writer.close()


def balance(user: int, asset: str, time_us: int, **changed: Any) -> tuple[Any, ...]:
    """sequence, time_us, user_id, asset, business, change, balance, detail"""
    row = {"business": "trade", "change": "1.00000000", "balance": "2.00000000", "detail": "{}"} | changed
    return (1, time_us, user, asset, *row.values())


def order(order_id: int, user: int, market: str, create_us: int, side: int = 1) -> tuple[Any, ...]:
    numbers = ("10.00000000", "1.00000000", "0.0020", "0.0010", "1.00000000", "10.0000000000000000", "0e-20")
    return (order_id, 1, create_us, create_us + 5, user, market, "api", 1, side, *numbers)


def deal(
    deal_id: int, user: int, order_id: int, market: str, side: int = 1, role: int = 1
) -> tuple[Any, ...]:
    """sequence, time_us, user, deal_id, order_id, deal_order_id, side, role, market, numbers"""
    numbers = ("10.00000000", "0.50000000", "5.0000000000000000", "0.0100000000000000", "5.0e-7")
    return (1, deal_id * 1_000_000, user, deal_id, order_id, order_id + 1, side, role, market, *numbers)
