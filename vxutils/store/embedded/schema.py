"""The tables of `history.db`, and the rows and positions that go in and come out.

    recorder's writer --rows, messages, position: one transaction--> history.db --read only--> everybody else

Times are whole microseconds since 1970, decimals raw decimal text, users and orders their own numbers.
`sequence` is that of the journal record from which a row follows, so each row can be derived again.
Readers may rely on ids that grow with time inside each table: journal time never goes back.

`topics` holds the offset that the next message of a topic gets, which outlives the pruning of messages;
`about` what the file is: the system it belongs to, from where its history begins, and what it is given.

Nothing here reads or writes; who does is in `history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

HISTORY_FILE: Final = "history.db"
SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x56584849  # "VXHI"
HISTORY: Final = "history"  # the one name in `position`
TOPICS: Final = ("orders", "deals", "balances")

# order_history serves order_history and order_detail of the C schema, deal_history its deal_history and
# user_deal_history: one deal is two rows, the ask's first. Source: protocol.md 4.5.
# The indexes end with what a page of results is chosen by, so that skipping to it reads no rows. Nearly all
# balance rows come from trades: an index of those by business would cost a fifth of the writer's time, and
# they are found as what the others leave. A file that was made with the whole index is as good.
TABLES: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE position (
  name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, epoch INTEGER NOT NULL, time_us INTEGER NOT NULL,
  digest BLOB NOT NULL
);
CREATE TABLE operlog (
  id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, time_us INTEGER NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE balance_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, time_us INTEGER NOT NULL,
  user_id INTEGER NOT NULL, asset TEXT NOT NULL, business TEXT NOT NULL, change TEXT NOT NULL,
  balance TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX balance_history_asset ON balance_history (user_id, asset, id);
CREATE INDEX balance_history_business ON balance_history (user_id, asset, business, id)
  WHERE business <> 'trade';
CREATE TABLE order_history (
  id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, create_us INTEGER NOT NULL, finish_us INTEGER NOT NULL,
  user_id INTEGER NOT NULL, market TEXT NOT NULL, source TEXT NOT NULL, t INTEGER NOT NULL,
  side INTEGER NOT NULL, price TEXT NOT NULL, amount TEXT NOT NULL, taker_fee TEXT NOT NULL,
  maker_fee TEXT NOT NULL, deal_stock TEXT NOT NULL, deal_money TEXT NOT NULL, deal_fee TEXT NOT NULL
);
CREATE INDEX order_history_market ON order_history (user_id, market, id, side);
CREATE TABLE deal_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, time_us INTEGER NOT NULL,
  user_id INTEGER NOT NULL, deal_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
  deal_order_id INTEGER NOT NULL, side INTEGER NOT NULL, role INTEGER NOT NULL, market TEXT NOT NULL,
  price TEXT NOT NULL, amount TEXT NOT NULL, deal TEXT NOT NULL, fee TEXT NOT NULL, deal_fee TEXT NOT NULL
);
CREATE INDEX deal_history_order ON deal_history (order_id, id);
CREATE INDEX deal_history_market ON deal_history (user_id, market, id);
CREATE TABLE messages (
  topic TEXT NOT NULL, offset INTEGER NOT NULL, sequence INTEGER NOT NULL, idx INTEGER NOT NULL,
  payload TEXT NOT NULL, PRIMARY KEY (topic, offset)
) WITHOUT ROWID;
CREATE TABLE topics (name TEXT PRIMARY KEY, next_offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE consumers (
  name TEXT NOT NULL, topic TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (name, topic)
) WITHOUT ROWID;
"""

Row = Sequence[object]

Content = Literal["all", "rows", "messages"]
"""What a store is given: rows and messages, or one of them."""


NumberedMessage = tuple[str, int, int, int, str]
"""A row of `messages`: topic, offset, sequence, number within the record, payload."""


class HistoryPosition(msgspec.Struct, frozen=True, array_like=True):
    """How far the history has come: all records up to `sequence`.

    `epoch`, `time_us` and `digest` (the outcome digest, 8 bytes) are of the last frame.
    """

    sequence: int = 0
    epoch: int = 0
    time_us: int = 0
    digest: bytes = bytes(8)


class HistoryBase(msgspec.Struct, frozen=True, kw_only=True):
    """From where a history begins: after `sequence`, with the ids and offsets that the next rows get.

    The default is the beginning of everything. Another one is needed where older journal segments were
    given up: ids and offsets go on as if the rows before were there.
    """

    sequence: int = 0
    balance_id: int = 1
    deal_id: int = 1
    offsets: dict[str, int] = {}


class HistoryBatch(msgspec.Struct, frozen=True, array_like=True):
    """What follows from the journal records after `after_sequence` up to `position.sequence`.

    Rows are the columns of their table without an automatic id, in the order of the records. A message is
    (topic, sequence, number within the record, payload).
    """

    after_sequence: int
    position: HistoryPosition
    operlog: list[Row] = []
    balances: list[Row] = []
    orders: list[Row] = []
    deals: list[Row] = []
    messages: list[tuple[str, int, int, str]] = []


class BalanceRow(msgspec.Struct, frozen=True, gc=False):
    """A row of balance_history. `detail` is the text of a JSON object."""

    id: int
    sequence: int
    time_us: int
    user_id: int
    asset: str
    business: str
    change: str
    balance: str
    detail: str


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """A finished order; `t` is 1 for limit, 2 for market."""

    id: int
    sequence: int
    create_us: int
    finish_us: int
    user_id: int
    market: str
    source: str
    t: int
    side: int
    price: str
    amount: str
    taker_fee: str
    maker_fee: str
    deal_stock: str
    deal_money: str
    deal_fee: str


class DealRow(msgspec.Struct, frozen=True, gc=False):
    """One side of a deal."""

    id: int
    sequence: int
    time_us: int
    user_id: int
    deal_id: int
    order_id: int
    deal_order_id: int
    side: int
    role: int
    market: str
    price: str
    amount: str
    deal: str
    fee: str
    deal_fee: str


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of a topic; `payload` is its JSON text, `idx` its number within the record."""

    offset: int
    sequence: int
    idx: int
    payload: str
