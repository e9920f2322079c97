"""What the writer of a sink is told: which store, of whom, from where on. Nothing is opened here."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from matchengine import system
from matchengine.recorder.keep import read_base
from matchengine.recorder.sinks import Sink
from matchengine.recorder.stores import MysqlPlace
from matchengine.recorder.writer import WriterOrder
from matchengine.settings import MatchengineSettings
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryBase

_HOUR_US: Final = 3_600_000_000


class WriterOrders:
    """Makes the order of each writer in turn, of one recorder; what may have changed meanwhile is read again.

    `mysql`: the databases of the sink, if it has any. Raises: SystemFileError.
    """

    def __init__(self, settings: MatchengineSettings, sink: Sink, disk: Disk, data: Path) -> None:
        self._settings = settings
        self._sink = sink
        self._disk = disk
        self._data = data
        self._identity = system.read_system(disk, data)
        self.mysql = _databases(settings, sink)

    def next(self) -> WriterOrder:
        """For the next writer. A store that has to be made begins at the base; history in MySQL begins at the
        first record, and without that record nowhere."""
        with suppress(system.SystemFileError):
            self._identity = system.read_system(self._disk, self._data)
        settings, kafka = self._settings.recorder, self._settings.kafka
        return WriterOrder(
            data=str(self._data),
            system_id=self._identity.id_bytes.hex(),
            base=HistoryBase() if self.mysql is not None else read_base(self._disk, self._data),
            content=self._sink.content,
            check_bytes_max=settings.check_bytes_max,
            epoch=self._identity.last_epoch,
            mysql=self.mysql,
            brokers=kafka.brokers if self._sink.store == "kafka" else "",
            login=kafka.login if self._sink.store == "kafka" else None,
            messages_keep_us=settings.messages_keep_hours * _HOUR_US,
            ring_bytes=settings.ring_size_bytes if settings.rings else 0,
        )


def _databases(settings: MatchengineSettings, sink: Sink) -> MysqlPlace | None:
    if sink.store != "mysql":
        return None
    databases = settings.mysql
    assert databases.log is not None, "the settings were checked"
    assert databases.history is not None, "the settings were checked"
    return MysqlPlace(databases.log, databases.history, settings.zone_name)
