"""Gives the exchange back to the C system: a slice in its database to start from, with nothing after it.

    engine stopped --> state, proven --> what would be lost? --> mark in a new epoch
      --> stores at the end of the journal --> slice tables, read back, compared --> row in slice_history
      --> HANDED_OVER in the data directory --> HANDED_OVER in both databases --> C may start

Until HANDED_OVER is in the data directory our engine can start again as if nothing had been; the slice is
one more that the C system could use. From then on nothing of ours starts here, and a repeat only finishes.
Wherever it breaks off, it may be repeated. The way back is `vx adopt` into a new directory.

An empty tail is the safest for the C system: nothing is executed again, no quirk of its replay matters. It
costs what the C system keeps in memory only: which updates were done (`Forgotten`).

The caller holds the lock of the data directory. Source: protocol.md 4.3, 4.4.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from matchengine import offline, recovery, slices, system
from matchengine.c_database.draining import behind, drain, hold_recorders
from matchengine.c_database.forgotten import Forgotten, forgotten
from matchengine.c_database.losses import ListedLosses, SliceColumns, losses, read_slice_columns
from matchengine.c_database.slice_check import Compared, compare_rest, compare_tables
from matchengine.core import rule_change
from matchengine.core.commands import Mark
from matchengine.core.engine import Engine
from matchengine.handed_over import HandOverMark, read_mark, write_mark
from matchengine.journal.segments import remove_unfinished
from matchengine.main import SLICES_KEPT, Directories
from matchengine.position import Position
from matchengine.recorder.c_slices import drop_tables, put_tables, register
from matchengine.recorder.loader_days import slice_time
from matchengine.settings import MatchengineSettings
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlBadData, MysqlError
from vxutils.store.mysql.position import HandedOver, give_away, read_position
from vxutils.store.mysql.schema import check
from vxutils.store.mysql.tables import DEAD_LETTER_TABLE, Kind
from vxutils.zone import open_zone

Tell = Callable[[str], None]


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """What was handed over. `compared` is None where only what was left of an earlier attempt was done;
    `left_alone` names databases that had been taken over by another system since."""

    mark: HandOverMark
    losses: list[str]
    forgotten: Forgotten
    dead_letters: int
    compared: Compared | None
    left_alone: list[str]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator wants: by which settings, whether digits may be lost, how long stores may take."""

    config: Path
    accepts_loss: bool
    wait_s: float


def hand_over(
    disk: Disk, clock: Clock, settings: MatchengineSettings, where: Directories, wish: Wish, tell: Tell
) -> HandOver:
    """Hands over the exchange of `where`. Progress goes to `tell`.

    Raises: ProcessExit in words; JournalError, SliceError, SystemFileError, OSError. Then it was not handed
    over, or it was and a repeat finishes: the sentence says which.
    """
    if settings.history.store != "mysql":
        raise ProcessExit(
            ExitCode.CONFIG,
            "these settings name no databases from which the C system could start: give those of the engine "
            'with `history.store = "mysql"`',
        )
    assert settings.mysql.log is not None, "the settings were checked"
    assert settings.mysql.history is not None, "the settings were checked"
    log, history = Database(settings.mysql.log), Database(settings.mysql.history)
    try:
        return _HandingOver(disk, clock, settings, where, wish, tell, log, history).run()
    except MysqlError as error:
        is_done = read_mark(disk, where.data) is not None
        state = (
            "it was handed over, repeat this to finish" if is_done else "not handed over, it can be repeated"
        )
        raise ProcessExit(ExitCode.FAILURE, f"{state}: {error}") from error
    finally:
        log.close()
        history.close()


class _HandingOver:
    """One attempt."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        settings: MatchengineSettings,
        where: Directories,
        wish: Wish,
        tell: Tell,
        log: Database,
        history: Database,
    ) -> None:
        self.disk = disk
        self.clock = clock
        self.settings = settings
        self.where = where
        self.wish = wish
        self.tell = tell
        self.log = log
        self.databases: tuple[tuple[Database, Kind], ...] = ((log, "log"), (history, "history"))

    def run(self) -> HandOver:
        identity = system.read_system(self.disk, self.where.data)
        hold_recorders(self.disk, self.where.data).close()  # before it takes time, whether they run
        found = recovery.recover(self.disk, self.where.data, self.where.journal, identity)
        for warning in found.warnings:
            self.tell(warning)
        mark = read_mark(self.disk, self.where.data)
        if mark is not None:
            self.tell(f"{self.where.data} was handed over before; what is left of that is done now")
            return self.finish(mark, [], found.engine, None)
        self.demand_ready(found, identity)
        columns = read_slice_columns(self.log)
        lost = self.judge_losses(found.engine, columns)
        identity = self.end_journal(identity, found)
        engine, position = found.engine, found.position
        self.tell(f"recording everything up to sequence {position.sequence}")
        drain(
            self.disk,
            self.clock,
            self.settings,
            self.wish.config,
            self.where.data,
            position.sequence,
            self.wish.wait_s,
            self.tell,
        )
        with hold_recorders(self.disk, self.where.data):
            late = behind(self.disk, self.settings, self.where.data, identity, position)
            if late:
                raise ProcessExit(ExitCode.FAILURE, f"not handed over: {'; '.join(late)}. Repeat it")
            time_s, compared = self.write_slice(engine, position, columns)
            mark = HandOverMark(
                system_id=identity.system_id,
                sequence=position.sequence,
                operation_id=position.operation_id,
                order_id=engine.last_order_id,
                deal_id=engine.last_deal_id,
                slice_time_s=time_s,
                time_us=self.clock.wall_us(),
            )
            write_mark(self.disk, self.where.data, mark)
            self.tell(f"nothing of ours starts on {self.where.data} from now on")
            return self.finish(mark, lost, engine, compared)

    def demand_ready(self, found: recovery.Recovered, identity: system.System) -> None:
        """Raises: ProcessExit; MysqlError."""
        if not found.position.sequence:
            raise ProcessExit(ExitCode.CONFIG, "no engine has run here yet: there is nothing to hand over")
        differences = rule_change.differences(found.engine.rules, self.settings.rules)
        if differences:
            raise ProcessExit(
                ExitCode.CONFIG,
                "the settings file differs from the rules in force, and the C system needs exactly those:\n  "
                + "\n  ".join(differences),
            )
        for database, kind in self.databases:
            fatal = [str(difference) for difference in check(database, kind) if difference.is_fatal]
            if fatal:
                raise ProcessExit(
                    ExitCode.CONFIG, f"{database} is not as the C system needs it: {'; '.join(fatal)}"
                )
            stored = read_position(database, kind)
            if stored is not None and stored.system_id != identity.system_id:
                raise ProcessExit(
                    ExitCode.CONFIG,
                    f"{database} belongs to system {stored.system_id}, this is system {identity.system_id}",
                )

    def judge_losses(self, engine: Engine, columns: SliceColumns) -> list[str]:
        """What would be lost, if that is accepted. Raises: ProcessExit naming the first ones."""
        lost, fatal = ListedLosses(), ListedLosses()
        for loss in losses(engine, columns):
            (fatal if loss.is_fatal else lost).add(loss)
        if fatal.count:
            raise ProcessExit(
                ExitCode.CONFIG,
                f"not handed over: the C system could not go on with this exchange as it is:{fatal.shown}\n"
                "`vx db migrate CONFIG` widens the columns; else cancel those orders, change those balances",
            )
        if lost.count and not self.wish.accepts_loss:
            raise ProcessExit(
                ExitCode.CONFIG,
                f"not handed over: the C system would lose digits:{lost.shown}\n"
                "`vx db migrate CONFIG` widens the columns; `--accept-loss` goes on all the same",
            )
        return lost.lines

    def end_journal(self, identity: system.System, found: recovery.Recovered) -> system.System:
        """A mark in an epoch of its own, and a slice of ours: from here on older writers are fenced at every
        store, and the end of the journal is durable even if the engine was killed."""
        size = self.settings.journal.segment_size_bytes
        remove_unfinished(self.disk, self.where.journal, size)
        opened = system.open_epoch(self.disk, self.where.data)
        assert opened.system_id == identity.system_id, "the directory is locked"
        mark = Mark(max(found.position.time_us, self.clock.wall_us()))
        offline.append_command(
            self.disk, self.clock, self.where.data, self.where.journal, opened, found, mark, size
        )
        slices.remove_older(self.disk, self.where.data / recovery.SLICES_DIRECTORY, SLICES_KEPT)
        return opened

    def write_slice(self, engine: Engine, position: Position, columns: SliceColumns) -> tuple[int, Compared]:
        """The slice, compared before it is registered and after. Raises: ProcessExit; MysqlError."""
        zone = open_zone(self.settings.zone_name)
        time_s = slice_time(self.clock.wall_us() // 1_000_000, zone, self.taken_times())
        self.tell(f"writing the slice {time_s}")
        try:
            put_tables(self.log, engine, time_s)
            self.tell("reading it back")
            compared = compare_tables(self.log, engine, columns, time_s)
        except MysqlBadData as error:
            drop_tables(self.log, time_s)
            raise ProcessExit(ExitCode.CONFIG, f"not handed over: the slice is refused: {error}") from error
        if compared.differences:
            drop_tables(self.log, time_s)
            raise ProcessExit(
                ExitCode.FAILURE,
                "not handed over: the slice differs:\n  " + "\n  ".join(compared.differences),
            )
        register(self.log, engine, time_s, position.operation_id)
        problems = compare_rest(self.log, engine, position.operation_id, time_s)
        if problems:
            raise ProcessExit(ExitCode.FAILURE, f"not handed over: {'; '.join(problems)}")
        return time_s, compared

    def taken_times(self) -> set[int]:
        """Seconds that a slice has, registered or not."""
        taken = {int(time_s) for (time_s,) in self.log.rows("SELECT time FROM slice_history")}
        for name in ("slice\\_order\\_%", "slice\\_balance\\_%"):
            tables = [str(table) for (table,) in self.log.rows("SHOW TABLES LIKE %s", (name,))]
            taken.update(int(end) for table in tables if (end := table.rpartition("_")[2]).isdigit())
        return taken

    def finish(
        self, mark: HandOverMark, lost: list[str], engine: Engine, compared: Compared | None
    ) -> HandOver:
        """The same in the databases, where copies and backups of this directory will see it."""
        given = HandedOver(mark.system_id, mark.sequence, mark.slice_time_s)
        left_alone = [
            str(database) for database, kind in self.databases if not give_away(database, kind, given)
        ]
        dead_letters = sum(
            int(database.rows(f"SELECT count(*) FROM `{DEAD_LETTER_TABLE}`")[0][0])  # noqa: S608
            for database, _ in self.databases
        )
        return HandOver(
            mark=mark,
            losses=lost,
            forgotten=forgotten(engine, mark.time_us),
            dead_letters=dead_letters,
            compared=compared,
            left_alone=left_alone,
        )
