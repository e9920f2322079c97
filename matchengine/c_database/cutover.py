"""`vx migrate cutover`: from the C engine to ours, step by step, and back at any time before the end.

    1 settings, databases, NEW    2 nothing comes in    3 everything is written    4 a fresh slice
    5 the state built from it is the engine's: its answers are kept in NEW.cutover
    6 the C engine has stopped    7 taken over into NEW    8 NEW holds what the C engine answered

Up to step 6 the C engine runs and nothing is changed but a slice more. Step 7 only adds tables that the C
system does not look at. So whatever fails, the C engine can be started again. Every step looks at what is, so
the command may be broken off and run again: while the C engine runs it begins anew; when it has stopped it
goes on with what was kept. Nothing that is not understood is passed over.

Starts and stops nobody: that is the operator's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from matchengine import recovery, system
from matchengine.c_database.adopting import FIRST_EPOCH, adopt_database
from matchengine.c_database.c_console import CConsole, Status, refuses
from matchengine.c_database.c_engine import CEngine
from matchengine.c_database.comparing import Difference, compare_kept
from matchengine.c_database.kept import Kept, KeptWriter, read_kept
from matchengine.c_database.reading import CSlice, newest_deal, newest_operation, read_slices
from matchengine.c_database.rehearsal import (
    READ_ONLY,
    Told,
    build_timed,
    compare,
    databases_of,
    listed_problems,
    survey,
)
from matchengine.c_database.subjects import State
from matchengine.c_database.survey import rounding_of
from matchengine.main import Directories
from matchengine.settings import MatchengineSettings
from vxnet.address import Address
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.process import LOCK_FILE_NAME
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.schema import found_columns

STEPS: Final = 8
POLL_S: Final = 0.25
DIFFERENCES_SHOWN: Final = 20
KEPT_BYTES_MAX: Final = 4 << 30

Ids = tuple[int, int, int]


class Stopped(Exception):
    """A check failed. The text says which, and what is to be done."""


class Operator(Protocol):
    """The person, or the script, that does what we only look at."""

    def say(self, line: str) -> None:
        """Shows a line."""

    def ask(self, text: str) -> None:
        """Asks for something to be done and returns when it is said to be; at once for a script."""


class Limits(msgspec.Struct, frozen=True):
    """`wait_s`: how long a step waits for the C system or the operator. `still_s`: how long nothing may
    change before it counts as standing still. `queries_per_s`: how fast the C engine is asked."""

    wait_s: float
    still_s: float
    queries_per_s: float


class Cutover:
    """One run of the checklist. Raises from `run`: Stopped, ProcessExit, and what reading, asking and writing
    raise (CDatabaseError, CEngineError, ConsoleError, MysqlError, JournalError, SliceError, OSError)."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        settings: MatchengineSettings,
        where: Directories,
        engine: Address,
        console: Address,
        operator: Operator,
        limits: Limits,
        is_history_trimmed: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._disk, self._clock = disk, clock
        self._settings, self._where = settings, where
        self._engine, self._console = engine, console
        self._operator, self._limits = operator, limits
        self._is_history_trimmed = is_history_trimmed
        self._monotonic, self._sleep = monotonic, sleep
        (_, log), (_, history) = databases_of(settings)
        self._log = Database(log, setup=(READ_ONLY,))
        self._history = Database(history, setup=(READ_ONLY,))
        self._kept_path = where.data.with_name(where.data.name + ".cutover")

    def run(self) -> None:
        """All steps, or those that are left."""
        try:
            if not self._disk.exists(self._where.data / system.SYSTEM_FILE):
                self._demand_room()
                if not self._is_engine_gone():
                    self._check_databases()
                    ids = self._wait_until_still()
                    self._wait_until_written(ids)
                    fresh = self._wait_for_slice(ids)
                    self._compare_engine(ids, fresh)
                kept = self._demand_kept()
                self._wait_until_stopped(kept)
                self._take_over()
            self._compare_adopted(self._demand_kept())
        finally:
            self._log.close()
            self._history.close()

    # -- 1 to 5: the C engine runs -------------------------------------------------------------

    def _demand_room(self) -> None:
        data = self._where.data
        if self._disk.exists(data) and [name for name in self._disk.names(data) if name != LOCK_FILE_NAME]:
            raise Stopped(
                f"{data} is not empty and holds no system. If an earlier run was broken off while it took "
                "over, remove this directory and run the command again"
            )

    def _check_databases(self) -> None:
        self._step(1, "settings, databases and the C engine")
        problems = survey(self._settings)
        with CEngine(self._engine, self._limits.queries_per_s) as engine:
            problems += listed_problems(self._settings.rules, engine.assets(), engine.markets())
        for problem in problems:
            self._operator.say(f"    {'STOPS' if problem.is_fatal else 'note'}: {problem.text}")
        if any(problem.is_fatal for problem in problems):
            raise Stopped(
                "the exchange can not be taken over as it is; `vx migrate rehearse` tells everything"
            )
        self._say("as they should be")

    def _wait_until_still(self) -> Ids:
        self._step(2, "nothing comes in any more")
        self._operator.ask(
            "Stop accesshttp and accessws (and whoever else sends operations to the C engine). Let "
            "marketprice, readhistory and the C engine run."
        )
        console = CConsole(self._console)
        last = console.status().ids
        since = self._monotonic()

        def is_still() -> bool:
            nonlocal last, since
            now = console.status().ids
            if now != last:
                last, since = now, self._monotonic()
            return self._monotonic() - since >= self._limits.still_s

        self._wait(is_still, lambda: f"operations still come in: the counter stands at {last[0]}")
        self._say(f"operation {last[0]}, order {last[1]}, deal {last[2]} for {self._limits.still_s:g} s")
        return last

    def _wait_until_written(self, ids: Ids) -> None:
        self._step(3, "everything is written")
        why = ""

        def is_written() -> bool:
            nonlocal why
            status = self._status_at(ids)
            why = f"the console says: {status.waiting}" if status.waiting else self._unwritten(ids)
            return not why

        self._wait(is_written, lambda: why)
        self._say(
            "operlog pending 0, history pending 0, no message pending; both databases have the last rows"
        )

    def _unwritten(self, ids: Ids) -> str:
        """What the databases lack although nothing is pending: a statement that is tried is not counted.

        Raises: MysqlError. Source: protocol.md 4.8.
        """
        if (logged := newest_operation(self._log)) != ids[0]:
            return f"the operation log ends with {logged}, the engine is at {ids[0]}"
        if not self._is_history_trimmed and (deal := newest_deal(self._history)) != ids[2]:
            return (
                f"the history ends with deal {deal}, the engine is at {ids[2]} (if its newest rows were "
                "removed on purpose, say --history-trimmed)"
            )
        return ""

    def _wait_for_slice(self, ids: Ids) -> CSlice:
        self._step(4, "a fresh slice")
        before = read_slices(self._log)
        last_id = before[0].id if before else 0
        CConsole(self._console).make_slice()
        found: list[CSlice] = []

        def is_there() -> bool:
            self._status_at(ids)
            found[:] = [
                one
                for one in read_slices(self._log)
                if one.id > last_id and (one.operation_id, one.order_id, one.deal_id) == ids
            ]
            return bool(found)

        self._wait(is_there, lambda: "the slice that was asked for is not registered in slice_history")
        self._say(f"slice {found[0].time_s} holds operation {ids[0]}")
        return found[0]

    def _compare_engine(self, ids: Ids, fresh: CSlice) -> None:
        self._step(5, "the state in the databases is the engine's")
        told = Told()
        built = build_timed(self._log, self._settings, self._clock, told.tell, self._say)
        loaded = built.loaded
        for problem in told.all():
            self._operator.say(f"    note: {problem.text}")
        if (loaded.slice_time_s, loaded.operation_id) != (fresh.time_s, ids[0]):
            raise Stopped(
                f"the fresh slice {fresh.time_s} can not be used (the notes above say why): what was built "
                f"is of slice {loaded.slice_time_s} and operation {loaded.operation_id}. Run this again"
            )
        writer = KeptWriter()
        with CEngine(self._engine, self._limits.queries_per_s) as engine:
            compared = compare(
                self._log,
                loaded,
                engine,
                CConsole(self._console),
                told.tell,
                self._say,
                keep=writer.keep,
            )
        self._status_at(ids)
        self._demand_equal(sum(compared.counts.values()), compared.differences)
        rounding = rounding_of(found_columns(self._log), fresh.time_s)
        kept = Kept(str(self._log), ids, fresh.id, rounding)
        self._disk.make_directory(self._where.data.parent)
        self._disk.write_atomically(self._kept_path, writer.text(kept))
        self._say(f"its answers are kept in {self._kept_path}")

    # -- 6 to 8: it has stopped ----------------------------------------------------------------

    def _demand_kept(self) -> Kept:
        if not self._disk.exists(self._kept_path):
            raise Stopped(
                f"the C engine does not answer, and there is no {self._kept_path} with what it answered "
                "before. Start it again, without gateways, and run this command again"
            )
        kept, _ = read_kept(self._disk.read_file(self._kept_path, KEPT_BYTES_MAX))
        if kept.log != str(self._log):
            raise Stopped(f"{self._kept_path} was kept for {kept.log}, these settings name {self._log}")
        return kept

    def _wait_until_stopped(self, kept: Kept) -> None:
        self._step(6, "the C engine has stopped")
        if not self._is_engine_gone():
            self._operator.ask("Stop the C matchengine now: send QUIT to its processes.")
        since: float | None = None

        def is_stopped() -> bool:
            nonlocal since
            if not self._is_engine_gone():
                since = None
                return False
            since = self._monotonic() if since is None else since
            # Its watchdog would start it again after a second.
            return self._monotonic() - since >= self._limits.still_s

        self._wait(is_stopped, lambda: f"something listens at {self._engine} or {self._console}")
        newest, last = read_slices(self._log)[0], newest_operation(self._log)
        if last != kept.ids[0] or newest.id != kept.slice_id:
            raise Stopped(
                f"the databases have gone on since the C engine answered: operation {last} and slice "
                f"{newest.time_s}, not operation {kept.ids[0]}. Start the C engine again, without gateways, "
                "and run this command again"
            )
        self._say(f"nobody listens at {self._engine} and {self._console}; the databases are as they were")

    def _take_over(self) -> None:
        self._step(7, f"taken over into {self._where.data}")
        self._operator.ask(
            "From here on the tables say that they are ours. The C system does not look at that."
        )
        told = Told()
        adopted = adopt_database(self._disk, self._clock, self._settings, self._where, told.tell)
        self._say(f"system {adopted.system_id}, operation {adopted.loaded.operation_id}")

    def _compare_adopted(self, kept: Kept) -> None:
        self._step(8, f"{self._where.data} holds what the C engine answered")
        _, answers = read_kept(self._disk.read_file(self._kept_path, KEPT_BYTES_MAX))
        identity = system.read_system(self._disk, self._where.data)
        if identity.last_epoch > FIRST_EPOCH:
            raise Stopped(f"the engine has been started on {self._where.data} already: the cutover is over")
        recovered = recovery.recover(self._disk, self._where.data, self._where.journal, identity)
        state = State(recovered.engine, kept.rounding)
        state.operation_id = recovered.position.operation_id
        self._demand_equal(*compare_kept(state, answers))

    # -- parts of steps ------------------------------------------------------------------------

    def _status_at(self, ids: Ids) -> Status:
        """What the console says, the counters standing where they stood. Raises: Stopped."""
        status = CConsole(self._console).status()
        if status.ids != ids:
            raise Stopped(
                f"operations came in again: the counter went from {ids[0]} to {status.ids[0]}. Find out who "
                "sends them, and run the command again"
            )
        return status

    def _is_engine_gone(self) -> bool:
        return refuses(self._console) and refuses(self._engine)

    def _demand_equal(self, count: int, differences: list[Difference]) -> None:
        for one in differences[:DIFFERENCES_SHOWN]:
            self._operator.say(f"    DIFFERENT: {one.subject}: {'; '.join(one.texts)}")
        if differences:
            raise Stopped(
                f"{len(differences)} of {count} answers of the C engine are not what its databases say"
            )
        self._say(f"{count} answers compared, all equal")

    def _wait(self, is_done: Callable[[], bool], why: Callable[[], str]) -> None:
        """Raises: Stopped after `wait_s`."""
        deadline = self._monotonic() + self._limits.wait_s
        while not is_done():
            if self._monotonic() > deadline:
                raise Stopped(f"waited {self._limits.wait_s:g} s: {why()}")
            self._sleep(POLL_S)

    def _step(self, number: int, title: str) -> None:
        self._operator.say(f"[{number}/{STEPS}] {title}")

    def _say(self, text: str) -> None:
        self._operator.say(f"    {text}")
