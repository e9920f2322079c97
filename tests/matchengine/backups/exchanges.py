"""Small data directories with trades, history, slices and an archive, and the steps of backup and restore."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from matchengine import backup as backups
from matchengine import restore as restores
from matchengine import slices, system
from matchengine.at import Moment, state_at
from matchengine.at_view import facts_of
from matchengine.given_up import Original
from matchengine.manifest import Manifest
from matchengine.recorder import keep
from matchengine.restore import Restored
from tests.matchengine.recorder_process.recording import SETTINGS, history_of, record_all, trade
from tests.support.hand_worker import BEGIN_US, HandWorker
from vxnet.clock import ManualClock
from vxutils.disk import Disk

LATER_US = BEGIN_US + 3_600_000_000
SMALL = 1_000  # a jump that is easy to see


def exchange(data: Path, rounds: int = 30, seed: int = 1) -> None:
    """A run of the engine that is stopped, and its history."""
    with HandWorker(data, SETTINGS) as worker:
        trade(worker, rounds, seed)
    record_all(data, history_of(data))


def with_archive(data: Path) -> None:
    """Three runs, a slice after each, all segments but the newest in the archive."""
    for seed in (1, 2, 3):
        exchange(data, seed=seed)
    identity = system.read_system(Disk(), data)
    end = slices.list_slices(Disk(), data / "slices")[-1].sequence
    assert keep.make_slice(Disk(), data, data / "journal", identity) is None
    keep.tidy(Disk(), data, data / "journal", end, want_slice=False, want_archive=True)
    assert list((data / "archive").glob("*.gz"))


def take(data: Path, target: Path, *configs: Path) -> Manifest:
    clock = ManualClock(LATER_US)
    made, warnings = backups.backup(
        Disk(), clock, data, data / "journal", target, list(configs), lambda text: None, lambda: None
    )
    assert warnings == []
    return made


def put_back(backup: Path, data: Path, replaces: Path | None = None, jump: int = SMALL) -> Restored:
    original = Original(replaces, replaces / "journal") if replaces is not None else None
    clock = ManualClock(LATER_US)
    return restores.restore(Disk(), clock, backup, data, original, jump, lambda text: None)


def shown_at(data: Path, sequence: int | None = None, time_us: int | None = None, **wishes: Any) -> Any:
    """The facts of `vx at`."""
    found = state_at(Disk(), data, data / "journal", Moment(sequence, time_us), LATER_US * 2)
    return facts_of(found, wishes.get("market"), wishes.get("user"))


def balances(data: Path, sequence: int) -> dict[str, tuple[Decimal, Decimal]]:
    return {
        asset["name"]: (Decimal(asset["available"]), Decimal(asset["frozen"]))
        for asset in shown_at(data, sequence)["assets"]
    }
