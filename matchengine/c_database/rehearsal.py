"""`vx migrate rehearse`: takes over a C exchange for trial, while it goes on trading, and changes nothing.

    settings  == asset.list, market.list of the engine?
    databases == tables, columns, time zone as they should be?
    state     built as `vx adopt` will build it, and the time that takes
    state     == the engine, over RPC?       (`comparing`)

Every session with the databases is read-only by the server's own rule, whatever the user may do. The report
says all that was found, also if the state can not be built at all.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Final, TypeVar

import msgspec

from matchengine.c_database.building import Loaded, build
from matchengine.c_database.c_console import CConsole
from matchengine.c_database.c_engine import CEngine, ListedAsset, ListedMarket
from matchengine.c_database.comparing import ROUNDS_MAX, Compared, Comparison, Keep, Say
from matchengine.c_database.reading import CDatabaseError
from matchengine.c_database.subjects import State
from matchengine.c_database.survey import (
    Problem,
    column_problems,
    rounding_of,
    rows_in_the_way,
    zone_problems,
)
from matchengine.core.rules import Rules
from matchengine.settings import MatchengineSettings
from vxnet.clock import Clock
from vxutils.exits import ExitCode, ProcessExit
from vxutils.fixed import parse_exact, power10
from vxutils.store.mysql.connection import Database
from vxutils.store.mysql.errors import MysqlError
from vxutils.store.mysql.schema import check, found_columns
from vxutils.store.mysql.settings import MysqlSettings
from vxutils.store.mysql.tables import Kind
from vxutils.zone import open_zone

UNASKED_USER: Final = 0
"""Updates may name it, `balance.query` refuses it. Source: protocol.md 2.7."""

READ_ONLY: Final = "SET SESSION TRANSACTION READ ONLY"
TOLD_MAX: Final = 20
"""How many lines of one kind are kept; of all others only the number."""

_Listed = TypeVar("_Listed", ListedAsset, ListedMarket)


class Built(msgspec.Struct):
    """The state as `vx adopt` would build it, and how long that took."""

    loaded: Loaded
    build_s: float


class Report(msgspec.Struct):
    """What a rehearsal has found. `operations` were executed after the slice of `slice_time_s` (0: none);
    `compared` is None if there was no state to compare."""

    problems: list[Problem]
    build_s: float = 0.0
    slice_time_s: int = 0
    operations: int = 0
    open_orders: int = 0
    compared: Compared | None = None

    @property
    def is_equal(self) -> bool:
        """Whether the exchange can be taken over as it is, and nothing differs."""
        is_possible = not any(problem.is_fatal for problem in self.problems)
        return is_possible and self.compared is not None and self.compared.is_equal


class Told:
    """Lines about single rows: the first of each kind, and how many there were."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self.problems: list[Problem] = []

    def tell(self, text: str) -> None:
        kind = " ".join(word for word in text.split() if not any(c.isdigit() for c in word))[:40]
        self._kinds[kind] += 1
        if self._kinds[kind] <= TOLD_MAX:
            self.problems.append(Problem(text))

    def all(self) -> list[Problem]:
        """With a line for each kind of which more came than were kept."""
        more = {kind: count - TOLD_MAX for kind, count in self._kinds.items() if count > TOLD_MAX}
        return self.problems + [Problem(f"and {count} more like: {kind} ...") for kind, count in more.items()]


def databases_of(settings: MatchengineSettings) -> tuple[tuple[Kind, MysqlSettings], ...]:
    """Log and history. Raises: ProcessExit if these settings name none."""
    log, history = settings.mysql.log, settings.mysql.history
    if settings.history.store != "mysql" or log is None or history is None:
        raise ProcessExit(ExitCode.CONFIG, "these settings name no databases of a C system")
    return ("log", log), ("history", history)


def rehearse(
    settings: MatchengineSettings,
    clock: Clock,
    engine: CEngine,
    console: CConsole | None,
    say: Say,
    rounds_max: int = ROUNDS_MAX,
) -> Report:
    """Raises: CEngineError, ConsoleError, MysqlError, ProcessExit."""
    (_, log_settings), _ = databases_of(settings)
    others = listed_problems(settings.rules, engine.assets(), engine.markets())
    report = Report(survey(settings) + others)
    log = Database(log_settings, setup=(READ_ONLY,))
    told = Told()
    try:
        try:
            built = build_timed(log, settings, clock, told.tell, say)
            take(report, built)
            if others:
                return report  # every answer would differ
            report.compared = compare(log, built.loaded, engine, console, told.tell, say, rounds_max)
        except CDatabaseError as error:
            # Whatever stops it is told with everything else that would stop it next.
            report.problems.append(Problem(str(error), is_fatal=True))
            known = {problem.text for problem in report.problems}
            report.problems += [one for one in rows_in_the_way(log) if one.text not in known]
    finally:
        log.close()
        report.problems += told.all()
    return report


def take(report: Report, built: Built) -> None:
    """Puts what was built into the report."""
    loaded = built.loaded
    report.build_s = built.build_s
    report.slice_time_s, report.operations = loaded.slice_time_s, loaded.replayed
    report.open_orders = sum(len(market.orders) for market in loaded.engine.markets.values())
    ledgers = loaded.engine.assets.values()
    if any(UNASKED_USER in ledger.available or UNASKED_USER in ledger.frozen for ledger in ledgers):
        report.problems.append(Problem("user 0 has balances: only the sums of the assets tell of them"))


def build_timed(log: Database, settings: MatchengineSettings, clock: Clock, tell: Say, say: Say) -> Built:
    """Raises: CDatabaseError, MysqlError."""
    say("building the state from the newest slice and the operation log")
    begun = time.monotonic()
    loaded = build(log, settings.rules, clock.wall_us(), tell)
    built = Built(loaded, time.monotonic() - begun)
    say(f"built in {built.build_s:.1f} s, up to operation {loaded.operation_id}")
    return built


def compare(
    log: Database,
    loaded: Loaded,
    engine: CEngine,
    console: CConsole | None,
    tell: Say,
    say: Say,
    rounds_max: int = ROUNDS_MAX,
    keep: Keep = lambda subject, answer: None,
) -> Compared:
    """Raises: CEngineError, ConsoleError, CDatabaseError, MysqlError."""
    state = State(loaded.engine, rounding_of(found_columns(log), loaded.slice_time_s))
    comparison = Comparison(log, loaded, state, engine, console, tell, say, keep=keep, rounds_max=rounds_max)
    return comparison.run()


# -- problems ----------------------------------------------------------------------------------


def survey(settings: MatchengineSettings) -> list[Problem]:
    """What is to be known about the databases themselves. Raises: MysqlError, ProcessExit."""
    problems: list[Problem] = []
    for kind, one in databases_of(settings):
        database = Database(one, setup=(READ_ONLY,))
        try:
            problems += [
                Problem(str(difference), difference.is_fatal) for difference in check(database, kind)
            ]
            if kind == "log":
                problems += column_problems(database, settings.rules)
                problems += zone_problems(database, open_zone(settings.zone_name), settings.zone_name)
        except MysqlError as error:
            if kind == "log":
                raise
            problems.append(Problem(str(error), is_fatal=True))
        finally:
            database.close()
    return problems


def listed_problems(rules: Rules, assets: list[ListedAsset], markets: list[ListedMarket]) -> list[Problem]:
    """In what the engine's assets and markets are not those of the settings."""
    ours = [ListedAsset(asset.name, asset.prec_show) for asset in rules.assets]
    wanted = [
        ListedMarket(
            m.name, m.stock, m.money, m.fee_prec, m.stock_prec, m.money_prec, _by_value(m.min_amount)
        )
        for m in rules.markets
    ]
    found = [msgspec.structs.replace(m, min_amount=_by_value(m.min_amount)) for m in markets]
    return _listed("asset", ours, assets) + _listed("market", wanted, found)


def _listed(what: str, ours: list[_Listed], theirs: list[_Listed]) -> list[Problem]:
    mine, other = {one.name: one for one in ours}, {one.name: one for one in theirs}
    texts = [
        f"{what} {name}: the engine has it, the settings have not" for name in other.keys() - mine.keys()
    ]
    texts += [
        f"{what} {name}: the settings have it, the engine has not" for name in mine.keys() - other.keys()
    ]
    for name in mine.keys() & other.keys():
        before, after = msgspec.structs.asdict(other[name]), msgspec.structs.asdict(mine[name])
        texts += [
            f"{what} {name}: {field} is {before[field]} in the engine, {after[field]} in the settings"
            for field in before
            if before[field] != after[field]
        ]
    return [Problem(text, is_fatal=True) for text in sorted(texts)]


def _by_value(text: str) -> str:
    """The same text for equal numbers; the text itself if it is none."""
    exact = parse_exact(text)
    if exact is None:
        return text
    number, scale = exact
    while scale and number % 10 == 0:
        number, scale = number // 10, scale - 1
    return f"{number}/{power10(scale)}"
