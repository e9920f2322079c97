"""What operators may look at from outside: health in one JSON object, numbers as Prometheus series.

Everything is read when it is asked for; the engine only keeps plain integers. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from matchengine.core.engine import Engine
from matchengine.pipeline import Pipeline
from matchengine.position import Position
from matchengine.publisher import BookPublisher
from matchengine.recorder.lag import RecorderState
from matchengine.space import SpaceGate
from matchengine.timekeeper import Timekeeper
from vxutils.metrics import Metrics
from vxutils.monitor import Health
from vxutils.protocol.commands import BY_ID


class Observer:
    """Reads the parts of one engine process."""

    def __init__(
        self,
        engine: Engine,
        position: Position,
        pipeline: Pipeline,
        gate: SpaceGate,
        timekeeper: Timekeeper,
        connections: Callable[[], int],
        durable_sequence: Callable[[], int],
        room_bytes: Callable[[], int],
        epoch: int,
        pid: int,
        recorder_state: Callable[[], RecorderState | None],
        publisher: BookPublisher,
    ) -> None:
        self._publisher = publisher
        self._recorder_state = recorder_state
        self._engine = engine
        self._position = position
        self._pipeline = pipeline
        self._gate = gate
        self._timekeeper = timekeeper
        self._connections = connections
        self._durable_sequence = durable_sequence
        self._room_bytes = room_bytes
        self._epoch = epoch
        self._pid = pid

    def health(self) -> Health:
        """Degraded while new orders are refused, a set clock is not accepted, or the recorder differs."""
        is_open, is_holding = self._gate.is_open(), self._timekeeper.is_holding
        state = self._recorder_state()
        differs = state is not None and state.diverged_at > 0
        return Health(
            status="degraded" if differs or is_holding or not is_open else "ok",
            facts={
                "process": "matchengine",
                "pid": self._pid,
                "epoch": self._epoch,
                "sequence": self._position.sequence,
                "durable_sequence": self._durable_sequence(),
                "operation_id": self._position.operation_id,
                "last_order_id": self._engine.last_order_id,
                "last_deal_id": self._engine.last_deal_id,
                "connections": self._connections(),
                "new_orders": "taken" if is_open else "refused",
                "new_orders_reason": self._gate.reason,
                "journal_room_bytes": self._room_bytes(),
                "disk_free_bytes": self._gate.free_bytes,
                "clock": "held" if is_holding else "accepted",
                "recorder": self._recorder(),
                "rings": {"open": self._publisher.opened, "failed": self._publisher.failed},
            },
        )

    def _recorder(self) -> dict[str, object]:
        state = self._recorder_state()
        if state is None:
            return {"state": "not running"}
        return {
            "state": _condition(state),
            "sequence": state.sequence,
            "lag_records": state.lag_records,
            "lag_bytes": state.lag_bytes,
            "differs_at": state.diverged_at,
        }

    def _recorder_lag(self) -> float:
        state = self._recorder_state()
        return float("nan") if state is None else state.lag_records

    def metrics(self) -> Metrics:
        """The series of the engine."""
        counts = self._pipeline.counts
        metrics = Metrics()
        metrics.counter(
            "vx_engine_requests",
            "Answered requests; code 0 is success, others are error codes.",
            ("method", "code"),
            self._requests,
        )
        metrics.counter(
            "vx_engine_unknown_commands",
            "Requests with a command that nobody knows.",
            (),
            lambda: counts.unknown_commands,
        )
        metrics.histogram(
            "vx_engine_sync_seconds",
            "Time of one sync of the journal.",
            (),
            lambda: counts.sync_s,
        )
        metrics.histogram(
            "vx_engine_batch_records",
            "Journal records per frame.",
            (),
            lambda: counts.batch_records,
        )
        metrics.histogram(
            "vx_engine_turn_seconds",
            "Time of one turn: what a request waits at most.",
            (),
            lambda: counts.turn_s,
        )
        metrics.gauge(
            "vx_engine_journal_sequence",
            "Sequence of the last journal record, applied and durable.",
            ("state",),
            lambda: {
                ("applied",): self._position.sequence,
                ("durable",): self._durable_sequence(),
            },
        )
        metrics.gauge(
            "vx_engine_journal_room_bytes",
            "Bytes that the journal can surely still take.",
            (),
            self._room_bytes,
        )
        metrics.gauge(
            "vx_engine_disk_free_bytes",
            "Free bytes of the disk with the journal.",
            (),
            lambda: self._gate.free_bytes,
        )
        metrics.gauge(
            "vx_engine_accepts_new_orders",
            "1 while new orders are taken, 0 while they are refused for space.",
            (),
            lambda: float(self._gate.is_open()),
        )
        metrics.gauge(
            "vx_engine_recorder_lag_records",
            "Durable records whose history is not committed; NaN while no recorder runs.",
            (),
            self._recorder_lag,
        )
        metrics.gauge(
            "vx_engine_rings",
            "Markets whose book is in shared memory.",
            (),
            lambda: self._publisher.opened,
        )
        metrics.gauge(
            "vx_engine_rings_failed",
            "Markets without a ring, or whose book does not fit into it: their depth is asked by RPC.",
            (),
            lambda: self._publisher.failed,
        )
        metrics.gauge("vx_engine_connections", "Open RPC sessions.", (), self._connections)
        metrics.gauge(
            "vx_engine_epoch",
            "Number of this start; it grows by one at each.",
            (),
            lambda: self._epoch,
        )
        metrics.gauge(
            "vx_engine_open_orders",
            "Resting orders per market.",
            ("market",),
            lambda: {(name,): len(market.orders) for name, market in self._engine.markets.items()},
        )
        return metrics

    def _requests(self) -> dict[tuple[str, ...], float]:
        counts = self._pipeline.counts
        found: dict[tuple[str, ...], float] = {
            (BY_ID[number].name, "0"): count for number, count in counts.succeeded.items()
        }
        for (number, code), count in counts.refused.items():
            found[BY_ID[number].name, str(code)] = count
        return found


def _condition(state: RecorderState) -> str:
    if state.diverged_at:
        return "differs"
    if state.is_refused:
        return "refused"
    return "troubled" if state.is_troubled else "running"
