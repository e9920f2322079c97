"""How an engine comes to where it may serve: the state that the disk has, a new epoch, a journal to write.

    SYSTEM -> recover -> refuse, or: epoch -> end of the journal made sound -> writer -> rules

Until `begin_epoch` nothing is written, so a refused start leaves everything as it was. Who serves is `main`.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import msgspec

from matchengine import recovery, system
from matchengine.core import rule_change
from matchengine.core.commands import ChangeRules
from matchengine.core.rules import rules_hash
from matchengine.first_start import demand_new_database, demand_own_database
from matchengine.handed_over import demand_not_handed_over
from matchengine.journal import format as layout
from matchengine.journal.segments import remove_unfinished, repair_tail
from matchengine.journal.writer import JournalWriter
from matchengine.sequencer import Sequencer
from matchengine.settings import MatchengineSettings
from vxnet.clock import Clock
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit

FUTURE_US_MAX = 5_000_000  # a journal whose last record is further ahead of the clock is not continued

_log = logging.getLogger("vx.matchengine")


class EngineStart:
    """One start, its three steps in this order. `directory` is that of the journal.

    Each step leaves what the next one and the owner need: `identity`, `recovered`, `engine` and `position`;
    then `journal` and `sequencer`. Raises: ProcessExit with a sentence, JournalError, SliceError,
    SystemFileError.
    """

    def __init__(
        self, settings: MatchengineSettings, data: Path, directory: Path, disk: Disk, clock: Clock
    ) -> None:
        self.settings = settings
        self.data = data
        self.directory = directory
        self.disk = disk
        self.clock = clock

    def recover(self) -> None:
        """The state as the disk has it; refuses a directory that can not be trusted."""
        self.identity = system.read_system(self.disk, self.data)
        demand_not_handed_over(self.disk, self.data)
        begun = time.monotonic()

        def progress(sequence: int) -> None:
            rate = sequence / (time.monotonic() - begun)
            _log.info("recovery: at sequence %d, %.0f records/s", sequence, rate)

        found = recovery.recover(self.disk, self.data, self.directory, self.identity, progress=progress)
        self.recovered = found
        self.engine, self.position = found.engine, found.position
        for warning in found.warnings:
            _log.critical("%s", warning)
        if not self.position.sequence:
            demand_new_database(self.settings, self.identity.system_id)
        else:
            demand_own_database(self.settings, self.identity.system_id)
        if self.position.time_us > self.clock.wall_us() + FUTURE_US_MAX:
            ahead_s = (self.position.time_us - self.clock.wall_us()) / 1_000_000
            raise ProcessExit(
                ExitCode.CONFIG,
                f"the last journal record is {ahead_s:.1f} s in the future: set the clock right, or wait",
            )
        if self.position.sequence and self._rule_differences():
            raise ProcessExit(
                ExitCode.CONFIG,
                "the settings file differs from the rules in force:\n  "
                + "\n  ".join(self._rule_differences())
                + "\n`vx config apply` puts legal changes in force; nothing was changed",
            )
        _log.info(
            "recovered: sequence %d (slice %d, %d records replayed) in %.2f s",
            self.position.sequence,
            found.slice_sequence,
            found.replayed,
            time.monotonic() - begun,
        )

    def _rule_differences(self) -> list[str]:
        return rule_change.differences(self.engine.rules, self.settings.rules)

    def begin_epoch(self) -> None:
        """From here on the disk is written: the epoch first, then the end of the journal is made sound."""
        try:
            # First what a crash left half made: it may be what fills the disk.
            remove_unfinished(self.disk, self.directory, self.settings.journal.segment_size_bytes)
            self.identity = system.open_epoch(self.disk, self.data)
        except OSError as error:
            raise layout.JournalIOError(f"{self.data} can not be written: {error}") from error
        end = self.recovered.end
        previous = None
        if end is not None:
            if end.torn is not None:
                _log.critical(
                    "a torn frame was cut: %s, offset %d, %d bytes; it had not been acknowledged",
                    end.torn.segment,
                    end.torn.offset,
                    end.torn.size_bytes,
                )
            if not end.clean:
                repair_tail(self.disk, self.directory, end.segment_path, end.valid_bytes)
            previous = (end.segment_number, end.segment_hash)
        journal = self.settings.journal
        self.journal = JournalWriter(
            self.disk,
            self.directory,
            system_id=self.identity.id_bytes,
            epoch=self.identity.last_epoch,
            rules_hash=rules_hash(self.engine.rules),
            first_sequence=self.position.sequence + 1,
            previous=previous,
            segment_size=journal.segment_size_bytes,
            durability=journal.durability,
            clock=self.clock.wall_us,
        )
        self.sequencer = Sequencer(self.position, self.journal)

    def agree_on_rules(self) -> None:
        """The first record of a new journal holds the rules."""
        if self.position.sequence:
            return
        rules = self.settings.rules
        self.journal.rules_hash = rules_hash(rules)
        command = ChangeRules(self.clock.wall_us(), msgspec.to_builtins(rules))
        self.engine.apply(command)
        self.sequencer.accept(command, self.engine.outcome, b"")
        self.sequencer.write()
        self.journal.sync()
