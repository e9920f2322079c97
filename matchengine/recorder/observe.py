"""The recorder for its monitor: health and metrics, read when somebody asks. Changes nothing.

Shown is what the state file says as well (`lag`), and what only this process knows: batches, rings, slices.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from matchengine.recorder.lag import RecorderState
from vxutils.metrics import Metrics
from vxutils.monitor import Health


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorder knows of itself beside its published state.

    `batches`: transactions committed since the start. `newest_slice`: its sequence, 0 without any.
    `trouble`, `rings_trouble`: why the history or a ring is not written, empty while all is well.
    """

    pid: int
    writer_pid: int
    is_ready: bool
    batches: int
    newest_slice: int
    free_bytes: int
    trouble: str
    rings_trouble: str


class Observer:
    """`state` and `progress` read the parts of one recorder; the state is None until the history is open."""

    def __init__(
        self, name: str, state: Callable[[], RecorderState | None], progress: Callable[[], Progress]
    ) -> None:
        self._name = name
        self._state = state
        self._progress = progress

    def health(self) -> Health:
        """`down` until the history is open; degraded until it follows, and while something is not written or
        too much waits."""
        state, progress = self._state(), self._progress()
        facts: dict[str, object] = {
            "process": self._name,
            "pid": progress.pid,
            "writer_pid": progress.writer_pid,
            "batches": progress.batches,
            "newest_slice": progress.newest_slice,
            "disk_free_bytes": progress.free_bytes,
            "history": progress.trouble or "well",
            "rings": progress.rings_trouble or "well",
            "follows": progress.is_ready,
        }
        if state is None:
            return Health("down", facts)
        facts |= {
            "sequence": state.sequence,
            "lag": state.lag_records,
            "lag_s": state.lag_us / 1_000_000,
            "lag_bytes": state.lag_bytes,
            "lag_is_too_high": state.is_lag_too_high,
            "diverged_at": state.diverged_at,
        }
        troubles = (
            progress.trouble,
            progress.rings_trouble,
            state.is_lag_too_high,
            state.diverged_at,
        )
        is_well = progress.is_ready and not any(troubles)
        return Health("ok" if is_well else "degraded", facts)

    def metrics(self) -> Metrics:
        """The series of the recorder."""
        metrics = Metrics()
        gauge = metrics.gauge

        def of_state(read: Callable[[RecorderState], float]) -> Callable[[], float]:
            return lambda: float("nan") if (state := self._state()) is None else read(state)

        def of_progress(read: Callable[[Progress], float]) -> Callable[[], float]:
            return lambda: read(self._progress())

        gauge(
            "vx_recorder_sequence",
            "Last record whose history is committed.",
            (),
            of_state(lambda state: state.sequence),
        )
        gauge(
            "vx_recorder_lag_records",
            "Durable records whose history is not committed.",
            (),
            of_state(lambda state: state.lag_records),
        )
        gauge(
            "vx_recorder_lag_seconds",
            "Age of the last committed record while others wait.",
            (),
            of_state(lambda state: state.lag_us / 1_000_000),
        )
        gauge(
            "vx_recorder_lag_bytes",
            "Bytes of journal that wait, estimated.",
            (),
            of_state(lambda state: state.lag_bytes),
        )
        metrics.counter(
            "vx_recorder_batches",
            "Transactions committed since the start.",
            (),
            of_progress(lambda progress: progress.batches),
        )
        gauge(
            "vx_recorder_newest_slice",
            "Sequence of the newest slice.",
            (),
            of_progress(lambda progress: progress.newest_slice),
        )
        gauge(
            "vx_recorder_disk_free_bytes",
            "Free bytes of the disk with the history.",
            (),
            of_progress(lambda progress: progress.free_bytes),
        )
        gauge(
            "vx_recorder_diverged_at",
            "The first record in which engine and recorder differ; 0: none.",
            (),
            of_state(lambda state: state.diverged_at),
        )
        gauge(
            "vx_recorder_trouble",
            "1 while this can not be written.",
            ("what",),
            lambda: {
                ("history",): float(bool(self._progress().trouble)),
                ("rings",): float(bool(self._progress().rings_trouble)),
            },
        )
        return metrics
