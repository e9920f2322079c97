"""Makes a journal for `test_released_journals_replay`: `python -m ...released_journals.make DIR`.

To be run once per released journal format, and its result kept for ever. It journals every kind of command,
integers past 64 bits, keys, a change of rules, several segments and epochs, then prints what to expect.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from matchengine import offline, system
from matchengine.core.commands import ChangeRules, Command, Mark, ShiftAge
from matchengine.core.engine import Engine
from matchengine.core.refusals import Refusal
from matchengine.core.rules import AssetRule, MarketRule, Rules, rules_hash
from matchengine.core.views import Views
from matchengine.journal.reader import scan
from matchengine.journal.writer import JournalWriter
from matchengine.position import Position
from matchengine.requests import Requests
from matchengine.sequencer import Sequencer
from vxnet.clock import ManualClock
from vxutils.disk import Disk

SEGMENT_BYTES = 32 * 1024
EPOCHS = 3
ROUNDS = 40
MARK_EVERY = 4  # rounds; v1 was made before there were marks, v1-marks with them
BEGIN_US = 1_750_000_000_000_000

RULES = Rules(
    assets=(AssetRule("BTC", 20, 8), AssetRule("USDT", 12, 8), AssetRule("ETH", 12, 8)),
    markets=(
        MarketRule("BTCUSDT", "BTC", 8, "USDT", 2, 4, "0.0001"),
        MarketRule("ETHBTC", "ETH", 6, "BTC", 8, 4, "0.001"),
    ),
    repeat_age_s=86_400,
    key_age_s=3_600,
    keys_max=100,
)
WIDER = msgspec.structs.replace(
    RULES,
    assets=(*RULES.assets[:1], AssetRule("USDT", 16, 8), AssetRule("ETH", 14, 8), AssetRule("XMR", 12, 8)),
)


def requests_of(round_: int) -> list[tuple[int, list[object], str]]:
    """(command, params, key) of one round: deposits, resting and crossing orders, cancels, market orders."""
    user, other = 1 + round_ % 5, 1 + (round_ + 1) % 5
    price = f"{30000 + round_ % 7}.5"
    return [
        (102, [user, "BTC", "deposit", round_, "99999999999999999999.00000001", {"note": round_}], ""),
        (102, [other, "USDT", "deposit", round_, "1000000000000", {}], f"deposit-{round_}"),
        (102, [user, "ETH", "deposit", -round_, "50.5", {"é": "ü"}], ""),
        (201, [user, "BTCUSDT", 1, "1.5", price, "0.002", "0.001", "api"], ""),
        (201, [other, "BTCUSDT", 2, "0.7", "30003.5", "0.0015", "0", "中文"], f"key-{round_ % 9}"),
        (202, [other, "BTCUSDT", 2, "1234.56", "0.0011", "web"], ""),
        (202, [user, "BTCUSDT", 1, "0.01", "0", ""], ""),
        (201, [user, "ETHBTC", 1, "10", "0.05", "0.002", "0.001", "api"], ""),
        (204, [user, "BTCUSDT", 1 + round_ * 4], ""),
        (102, [user, "USDT", "withdrawal", round_, "-1.25", {}], ""),
    ]


def main(directory: Path) -> None:
    disk, clock = Disk(), ManualClock(BEGIN_US, 0)
    offline.init(disk, clock, directory, directory / "journal")
    engine, position = Engine(), Position()
    previous = None
    for epoch in range(EPOCHS):
        identity = system.open_epoch(disk, directory)
        journal = JournalWriter(
            disk,
            directory / "journal",
            system_id=identity.id_bytes,
            epoch=identity.last_epoch,
            rules_hash=rules_hash(RULES),
            first_sequence=position.sequence + 1,
            previous=previous,
            segment_size=SEGMENT_BYTES,
            durability="group",
            clock=clock.wall_us,
        )
        sequencer = Sequencer(position, journal)

        def execute(command: Command, params: bytes = b"", sequencer: Sequencer = sequencer) -> None:
            engine.apply(command)
            if engine.outcome:
                sequencer.accept(command, engine.outcome, params)

        if epoch == 0:
            execute(ChangeRules(clock.wall_us(), msgspec.to_builtins(RULES)))
        elif epoch == 1:
            execute(ShiftAge(clock.wall_us(), 5_000_000))
        else:
            execute(ChangeRules(clock.wall_us(), msgspec.to_builtins(WIDER)))
        requests = Requests(engine, Views(engine, "plain"))
        for round_ in range(epoch * ROUNDS, (epoch + 1) * ROUNDS):
            clock.advance(1_234_567)
            for number, params, key in requests_of(round_):
                command = requests.operations[number](params, clock.wall_us(), key)
                assert not isinstance(command, Refusal), params
                execute(command, json.dumps(params).encode())
            if round_ % MARK_EVERY == 0:
                execute(Mark(clock.wall_us()))
            sequencer.write()
            journal.sync()
        journal.close(clean=True)
        journal_so_far = scan(disk, directory / "journal", identity.id_bytes)
        for _ in journal_so_far:
            pass
        assert journal_so_far.end is not None
        previous = (journal_so_far.end.segment_number, journal_so_far.end.segment_hash)
    for leftover in (directory / "journal").glob("*.prepared"):
        leftover.unlink()
    found = msgspec.to_builtins(offline.audit(disk, directory, directory / "journal"))
    (directory / "expected.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
