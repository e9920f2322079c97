"""The store that a writer process was ordered to write: opened, and its errors sorted.

    order -> history.db | MySQL | Kafka

RETRIED: it can not be written now, and the same batch is given again. REFUSED: this process must not write to
it at all. What a store does with a batch is its own affair; all take the same ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from vxutils.disk import Disk
from vxutils.store.embedded import writer as embedded
from vxutils.store.embedded.history import HistoryUnavailable
from vxutils.store.embedded.schema import (
    HISTORY_FILE,
    Content,
    HistoryBase,
    HistoryBatch,
    HistoryPosition,
    NumberedMessage,
)
from vxutils.store.embedded.writer import HistoryForeign, HistoryWriter, OutOfPlace
from vxutils.store.kafka import writer as kafka
from vxutils.store.kafka.errors import KafkaRefused, KafkaTrouble
from vxutils.store.kafka.settings import KafkaLogin
from vxutils.store.mysql import writer as mysql
from vxutils.store.mysql.errors import MysqlError, MysqlFenced, MysqlForeign
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.writer import MysqlHistoryWriter
from vxutils.zone import open_zone

RETRIED: Final = (sqlite3.OperationalError, OSError, MysqlError, KafkaTrouble)
REFUSED: Final = (HistoryForeign, HistoryUnavailable, MysqlForeign, MysqlFenced, KafkaRefused, OutOfPlace)
DEAD_LETTERS_SHOWN: Final = 5


class MysqlPlace(msgspec.Struct, frozen=True):
    """Both databases, and the zone of the day tables."""

    log: MysqlSettings
    history: MysqlSettings
    zone_name: str


class StoreOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Which store, of whom, from where on. Without `mysql` and `brokers` it is `history.db` in `data`.

    `base`: where a new store begins. `epoch`: of the engine, against a second one on a copy.
    """

    data: str
    system_id: str
    base: HistoryBase
    content: Content = "all"
    check_bytes_max: int = 1 << 62
    epoch: int = 0
    mysql: MysqlPlace | None = None
    brokers: str = ""
    login: KafkaLogin | None = None

    @property
    def shown(self) -> str:
        """The store in a sentence."""
        if self.mysql is not None:
            return "MySQL"
        return "Kafka" if self.brokers else HISTORY_FILE


class Store(Protocol):
    """What a writer process needs of a store."""

    @property
    def position(self) -> HistoryPosition: ...
    @property
    def base(self) -> HistoryBase: ...
    def append(self, batch: HistoryBatch) -> list[NumberedMessage]: ...
    def close(self) -> None: ...


def open_store(order: StoreOrder, disk: Disk, alarm: Callable[[str], None]) -> Store:
    """Opens it. `alarm` gets a sentence about what a person should look at. Raises: RETRIED, REFUSED, and
    HistoryDamaged."""
    system_id = bytes.fromhex(order.system_id)
    place = order.mysql
    if place is not None:
        zone = open_zone(place.zone_name)
        return mysql.open_history(
            place.log, place.history, system_id, zone, place.zone_name, order.base, order.epoch
        )
    if order.brokers:
        return kafka.open_messages(
            order.brokers, Path(order.data), system_id, order.base, disk, alarm, order.login
        )
    path = Path(order.data) / HISTORY_FILE
    return embedded.open_history(path, system_id, order.base, order.check_bytes_max, order.content)


def message_table(store: Store, content: Content) -> HistoryWriter | None:
    """The store, if it numbers messages: then it has rings beside it, and old messages go."""
    return store if isinstance(store, HistoryWriter) and content != "rows" else None


def refused_rows(store: Store) -> list[str]:
    """In words what the columns of a database have refused since the last call."""
    if not isinstance(store, MysqlHistoryWriter):
        return []
    letters = store.take_dead_letters()
    shown = [f"a row was put aside: {letter}" for letter in letters[:DEAD_LETTERS_SHOWN]]
    if len(letters) > len(shown):
        shown.append(f"{len(letters) - len(shown)} more rows were put aside, see vx_dead_letter")
    return shown
