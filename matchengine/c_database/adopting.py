"""Takes over an exchange of the C system: its database becomes ours, and goes on in a new data directory.

    log database --build--> state --> journal: rules, [slice], two marks --> positions in both databases
                                                                         --> SYSTEM, last

The state stands in the slice at the first record; the marks after it prove it, so a start without that slice
is refused instead of beginning empty. Operation, order and deal ids go on. The positions in the databases say
that they have everything up to that record, so nothing is written twice. Whatever breaks off before SYSTEM is
there leaves a directory that no engine starts on, and may be repeated with another one.

Databases that one of our systems has handed over to the C system are taken again, by a new system. The C
engine must have stopped, with nothing pending; nobody can see that from here.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import msgspec

from matchengine import recovery, slices, system
from matchengine.c_database.building import Loaded, Tell, build
from matchengine.c_database.reading import CDatabaseError
from matchengine.core.commands import ChangeRules, Mark
from matchengine.core.engine import Engine
from matchengine.core.rules import rules_hash
from matchengine.journal.archive import ARCHIVE_DIRECTORY
from matchengine.journal.durable import create_journal
from matchengine.journal.writer import JournalWriter
from matchengine.main import Directories
from matchengine.position import Position
from matchengine.recorder.keep import BASE_FILE
from matchengine.sequencer import Sequencer
from matchengine.settings import MatchengineSettings
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.process import LOCK_FILE_NAME
from vxutils.store.embedded.schema import HistoryBase, HistoryPosition
from vxutils.store.kafka.floor import Floor, write_floor
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError, MysqlForeign
from vxutils.store.mysql.position import (
    BASE,
    StoredPosition,
    put_about,
    read_handed_over,
    read_position,
    take_back,
    take_zone,
)
from vxutils.store.mysql.schema import check
from vxutils.store.mysql.tables import Kind

BASE_SEQUENCE: Final = 1
"""The record at which the state was taken over: the rules, first of every journal."""

FIRST_EPOCH: Final = 1


class Adopted(msgspec.Struct, frozen=True):
    """What was taken over, and as which system."""

    system_id: str
    loaded: Loaded


def adopt_database(
    disk: Disk, clock: Clock, settings: MatchengineSettings, where: Directories, tell: Tell
) -> Adopted:
    """Takes over the databases of the settings into `where.data`, which is missing or empty.

    Raises: ProcessExit in words; JournalError, SliceError, OSError. Then there is no SYSTEM file.
    """
    if settings.history.store != "mysql":
        raise ProcessExit(ExitCode.CONFIG, "these settings name no databases that could be taken over")
    assert settings.mysql.log is not None, "the settings were checked"
    assert settings.mysql.history is not None, "the settings were checked"
    _refuse_unless_empty(disk, where.data)
    log, history = Database(settings.mysql.log), Database(settings.mysql.history)
    databases: tuple[tuple[Database, Kind], ...] = ((log, "log"), (history, "history"))
    try:
        for database, kind in databases:
            _demand_unowned(database, kind)
        loaded = build(log, settings.rules, clock.wall_us(), tell)
        identity = system.System(system.FORMAT_VERSION, uuid.uuid4().hex, clock.wall_us(), FIRST_EPOCH, 0, 0)
        position = _write_journal(disk, clock, settings, where, identity, loaded)
        take_zone(log, settings.zone_name)
        former: list[str] = []
        for database, kind in databases:
            former = take_back(database, kind, StoredPosition(identity.system_id, position))
        if settings.kafka.brokers and former:
            _continue_topics(disk, where.data, identity, former)
        base = HistoryBase(sequence=BASE_SEQUENCE)
        put_about(log, BASE, msgspec.json.encode(base).decode())
    except (MysqlError, MysqlForeign, CDatabaseError) as error:
        raise ProcessExit(ExitCode.CONFIG, f"not taken over: {error}") from error
    finally:
        log.close()
        history.close()
    unborn = msgspec.structs.replace(identity, last_epoch=0)
    system.restore_system(disk, where.data, unborn, FIRST_EPOCH)
    return Adopted(identity.system_id, loaded)


def _demand_unowned(database: Database, kind: Kind) -> None:
    """Raises: CDatabaseError, MysqlError."""
    fatal = [str(difference) for difference in check(database, kind) if difference.is_fatal]
    if fatal:
        raise CDatabaseError(f"{database} is not as it should be: {'; '.join(fatal)}")
    stored = read_position(database, kind)
    if stored is None or read_handed_over(database) is not None:
        return  # of the C system, or of it again
    if stored.position.sequence > BASE_SEQUENCE:
        raise CDatabaseError(
            f"{database} belongs to system {stored.system_id} already, which has come to sequence "
            f"{stored.position.sequence}: start that one, or hand it over to the C system before"
        )


def _continue_topics(disk: Disk, data: Path, identity: system.System, former: list[str]) -> None:
    """The topics may end with messages of the systems that handed this exchange over: they are no strangers'.
    Raises: OSError."""
    base = HistoryBase(sequence=BASE_SEQUENCE)
    position = HistoryPosition(sequence=BASE_SEQUENCE)
    floor = Floor(system=identity.system_id, base=base, position=position, former=tuple(former))
    write_floor(disk, data, floor)


def _write_journal(
    disk: Disk,
    clock: Clock,
    settings: MatchengineSettings,
    where: Directories,
    identity: system.System,
    loaded: Loaded,
) -> HistoryPosition:
    """The journal, the slice and what keeps it; the position at which the state was taken over."""
    engine, rules = loaded.engine, settings.rules
    create_journal(disk, where.journal, identity.id_bytes)
    disk.make_directory(where.data)
    journal = JournalWriter(
        disk,
        where.journal,
        system_id=identity.id_bytes,
        epoch=FIRST_EPOCH,
        rules_hash=rules_hash(rules),
        first_sequence=1,
        previous=None,
        segment_size=settings.journal.segment_size_bytes,
        durability="group",
        clock=clock.wall_us,
    )
    position = Position(operation_id=loaded.operation_id)
    sequencer = Sequencer(position, journal)
    now_us = max(loaded.time_us, clock.wall_us())
    command = ChangeRules(now_us, msgspec.to_builtins(rules))
    empty = Engine()  # the record is about the rules alone, as in every journal
    empty.apply(command)
    sequencer.accept(command, empty.outcome, b"")
    sequencer.write()
    journal.sync()
    recovery.write_slice(disk, where.data, identity, FIRST_EPOCH, engine, position)
    slices.declare_needed(disk, where.data / recovery.SLICES_DIRECTORY, [BASE_SEQUENCE])
    base = HistoryBase(sequence=BASE_SEQUENCE)
    disk.make_directory(where.data / ARCHIVE_DIRECTORY)
    disk.write_atomically(where.data / ARCHIVE_DIRECTORY / BASE_FILE, msgspec.json.encode(base))
    taken = HistoryPosition(position.sequence, FIRST_EPOCH, position.time_us, position.digest)
    for _ in range(2):
        mark = Mark(now_us)
        engine.apply(mark)
        sequencer.accept(mark, engine.outcome, b"")
    sequencer.write()
    journal.sync()
    journal.close(clean=True)
    return taken


def _refuse_unless_empty(disk: Disk, data: Path) -> None:
    if disk.exists(data) and [name for name in disk.names(data) if name != LOCK_FILE_NAME]:
        raise ProcessExit(
            ExitCode.CONFIG, f"{data} is not empty: a database is taken over into a new data directory"
        )
