"""What one of the recorders does beside recording: slices, archive, slices in MySQL.

    once a second --> keeper: is a slice due, an old segment to pack?   --> helper process (tidy)
                      clock: is a slice due in the log database?        --'

The keeper decides (`keep`), a short-lived process does; here is only when they are asked, and for what
sequence: nothing that any recorder of the data directory still wants is given away.
"""

from __future__ import annotations

import os

import msgspec

from matchengine.recorder.c_slices import SliceClock, SliceOrder
from matchengine.recorder.keep import Helper, Keeper
from matchengine.recorder.lag import read_recorder_state
from matchengine.recorder.replica import Place
from matchengine.recorder.sinks import Sink, names_of
from matchengine.recorder.stores import MysqlPlace
from matchengine.settings import MatchengineSettings
from vxutils.disk import Disk
from vxutils.store.embedded.schema import HistoryPosition


class Upkeep:
    """Of the recorder of `sink`; `mysql`: the databases of the sink, if it has any."""

    def __init__(
        self,
        settings: MatchengineSettings,
        sink: Sink,
        mysql: MysqlPlace | None,
        disk: Disk,
        place: Place,
    ) -> None:
        self._disk = disk
        self._data = data = place.data
        self._others = [name for name in names_of(settings) if name != sink.name]
        words = ["--data-dir", str(data), "--journal-dir", str(place.journal)]
        words += [*(["--archive"] if settings.recorder.archive else []), "--parent-pid", str(os.getpid())]
        self._helper = Helper(words, _slice_order(settings, mysql))
        slice_s = settings.recorder.slice_minutes * 60.0
        self._keeper = Keeper(disk, data, self._helper, settings.slice_records, slice_s)
        self._slice_clock = SliceClock(settings.history.slice_interval_s if mysql is not None else 0)

    @property
    def newest_slice(self) -> int:
        """Its sequence, 0 if there is none."""
        return self._keeper.newest

    def tick(self, committed: HistoryPosition, is_troubled: bool) -> None:
        """Once a second, while all is proven. Raises: SliceError, OSError."""
        sequence = self._kept_sequence(committed.sequence)
        self._keeper.tick(sequence)
        if is_troubled or not committed.time_us:
            return
        if self._slice_clock.is_due(committed.time_us, self._helper.failures):
            # A slice in the database once per interval of journal time.
            words = ["--sequence", str(sequence), "--slice", "--mysql-slice"]
            if self._helper.start(words):
                self._slice_clock.asked(committed.time_us)

    def stop(self) -> None:
        """Ends the helper; what it was making has no name yet."""
        self._helper.stop()

    def _kept_sequence(self, own: int) -> int:
        """What every recorder has committed: what comes after it is still wanted. One that never ran has
        committed nothing."""
        states = [read_recorder_state(self._disk, self._data, name) for name in self._others]
        return min([own, *[0 if state is None else state.sequence for state in states]])


def _slice_order(settings: MatchengineSettings, mysql: MysqlPlace | None) -> bytes:
    """What the helper that writes slices into MySQL is told; nothing without MySQL."""
    if mysql is None:
        return b""
    history = settings.history
    return msgspec.json.encode(
        SliceOrder(log=mysql.log, interval_s=history.slice_interval_s, keep_s=history.slice_keep_s)
    )
