"""Compares our state with a C engine that goes on trading, until every difference is one or is none.

    log --catch up--> our state  <--judge--  answer  <--ask--  C engine
                      after each operation: what is open and was touched is judged again

The engine executes first and logs later, so an answer shows a state that ours has not passed yet. It is
equal if our state equals it when it comes, or after any of the operations which follow until the log has all
that was executed before the answer. What is equal at none of these moments is asked again in the next round:
it counts as a difference if no operation touched it in a whole round, or after the last round.

Owns what is still open. Reads the log, asks the engine, and changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from matchengine.c_database.building import Loaded, Tell, catch_up
from matchengine.c_database.c_console import CConsole
from matchengine.c_database.c_engine import CEngine
from matchengine.c_database.reading import CDatabaseError
from matchengine.c_database.subjects import (
    KINDS,
    Answer,
    AnySubject,
    Counters,
    OpenOrder,
    State,
    Subject,
    Verdict,
    name_of,
    touched,
)
from matchengine.core.order import ASK, BID
from vxutils.store.mysql.connection import Database

ROUNDS_MAX: Final = 5
CATCH_UP_S: Final = 1.0
"""How often the log is read while questions are asked."""

SETTLE_S: Final = 1.5
"""How long the log takes to have what was executed, if there is no console to say how far it must come. The C
engine writes every 0.1 s; a slow database takes longer, and then a difference is asked again."""

LOG_WAIT_S: Final = 60.0
LOG_POLL_S: Final = 0.05
ROUNDED_SHOWN: Final = 5

Keep = Callable[[Subject, Answer], None]
Say = Callable[[str], None]


class Difference(msgspec.Struct, frozen=True):
    """Something that is not the same; `was_touched`: operations changed it in every round."""

    subject: str
    texts: list[str]
    was_touched: bool


class Compared(msgspec.Struct):
    """What was compared, by kind, and what came of it. `operations`: executed by the engine meanwhile."""

    counts: dict[str, int]
    differences: list[Difference]
    rounded: int
    rounded_first: list[str]
    rounds: int
    operations: int
    queries: int

    @property
    def is_equal(self) -> bool:
        return not self.differences


class _Open(msgspec.Struct):
    """An answer that nothing was equal to so far."""

    answer: Answer
    was_touched: bool = False


class Comparison:
    """One comparison. `keep` gets every answer of the first round, for who compares another state later."""

    def __init__(
        self,
        log: Database,
        loaded: Loaded,
        state: State,
        engine: CEngine,
        console: CConsole | None,
        tell: Tell,
        say: Say = lambda text: None,
        keep: Keep = lambda subject, answer: None,
        rounds_max: int = ROUNDS_MAX,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._log, self._loaded, self._state = log, loaded, state
        self._engine, self._console = engine, console
        self._tell, self._say, self._keep = tell, say, keep
        self._rounds_max = rounds_max
        self._monotonic, self._sleep = monotonic, sleep
        self._open: dict[Subject, _Open] = {}
        self._counts: Counter[str] = Counter()
        self._rounded: dict[str, None] = {}
        self._rounded_count = 0

    def run(self) -> Compared:
        """Raises: CEngineError, ConsoleError, CDatabaseError, MysqlError."""
        begun_at = self._loaded.operation_id
        decided: dict[Subject, _Open] = {}
        rounds = 0
        questions = self._everything()
        while rounds < self._rounds_max:
            rounds += 1
            self._ask(questions, is_first=rounds == 1)
            self._pass_now()
            if rounds > 1:
                # Asked twice, and nothing happened to it in between that could explain the difference.
                decided |= {s: one for s, one in self._open.items() if not one.was_touched}
            left = [subject for subject in self._open if subject not in decided]
            if not left:
                break
            self._say(f"round {rounds}: {len(left)} to ask again, {len(decided)} differ")
            questions = self._again(left)
        decided |= self._open
        return Compared(
            counts={name: self._counts[name] for name in KINDS.values() if self._counts[name]},
            differences=[self._difference(subject, one) for subject, one in decided.items()],
            rounded=self._rounded_count,
            rounded_first=list(self._rounded)[:ROUNDED_SHOWN],
            rounds=rounds,
            operations=self._loaded.operation_id - begun_at,
            queries=self._engine.queries,
        )

    # -- asking --------------------------------------------------------------------------------

    def _ask(self, questions: Iterable[tuple[Subject, Answer]], is_first: bool) -> None:
        self._open = {}
        self._catch_up()
        due = self._monotonic() + CATCH_UP_S
        for subject, answer in questions:
            if is_first:
                self._counts[KINDS[type(subject)]] += 1
                self._keep(subject, answer)
            if not self._settles(subject, answer):
                self._open[subject] = _Open(answer)
            if self._monotonic() >= due:
                self._catch_up()
                due = self._monotonic() + CATCH_UP_S
                self._say(f"{sum(self._counts.values())} compared, {len(self._open)} not equal so far")

    def _everything(self) -> Iterator[tuple[Subject, Answer]]:
        engine = self._engine
        if self._console is not None:
            yield Counters(), self._counters(self._console)
        yield from engine.asset_sums()
        yield from engine.market_sums()
        for name, market in list(self._state.engine.markets.items()):
            for side in (ASK, BID):
                # An order that is there now, and on no page, was moved from one page to another or has gone.
                unseen = {order.id for order in (market.asks if side == ASK else market.bids).orders()}
                seen: set[int] = set()
                for order, answer in engine.book(name, side):
                    if order.id not in seen:
                        seen.add(order.id)
                        unseen.discard(order.id)
                        yield order, answer
                for number in sorted(unseen):
                    yield OpenOrder(name, number), engine.ask(OpenOrder(name, number))
        for subject in list(self._state.everything()):
            yield subject, engine.ask(subject)

    def _again(self, subjects: list[Subject]) -> Iterator[tuple[Subject, Answer]]:
        for subject in subjects:
            if isinstance(subject, Counters):
                assert self._console is not None, "somebody has answered before"
                yield subject, self._counters(self._console)
            else:
                yield subject, self._engine.ask(subject)

    def _counters(self, console: CConsole) -> Answer:
        operation, order, deal = console.status().ids
        return {"operation": str(operation), "order": str(order), "deal": str(deal)}

    # -- catching up ---------------------------------------------------------------------------

    def _catch_up(self) -> None:
        engine = self._loaded.engine
        engine.events = []
        try:
            catch_up(self._log, self._loaded, self._tell, self._after_operation)
        finally:
            engine.events = None
        self._state.operation_id = self._loaded.operation_id

    def _after_operation(self) -> None:
        """What was touched and is still open may be equal now, and only now."""
        self._state.operation_id = self._loaded.operation_id
        events = self._loaded.engine.events
        assert events is not None, "we have asked for them"
        if self._open:
            for subject in touched(events, self._loaded.engine):
                one = self._open.get(subject)
                if one is not None:
                    one.was_touched = True
                    if self._settles(subject, one.answer):
                        del self._open[subject]
        events.clear()

    def _pass_now(self) -> None:
        """Comes past everything that was executed until now."""
        if self._console is None:
            self._sleep(SETTLE_S)
            self._catch_up()
            return
        wanted = self._console.status().operation_id
        deadline = self._monotonic() + LOG_WAIT_S
        self._catch_up()
        while self._loaded.operation_id < wanted:
            if self._monotonic() > deadline:
                raise CDatabaseError(
                    f"the engine has executed operation {wanted}, its log has come to "
                    f"{self._loaded.operation_id} and no further for {LOG_WAIT_S:.0f} s"
                )
            self._sleep(LOG_POLL_S)
            self._catch_up()

    # -- judging -------------------------------------------------------------------------------

    def _settles(self, subject: Subject, answer: Answer) -> bool:
        verdict = self._state.judge(subject, answer)
        if verdict is Verdict.ROUNDED:
            self._rounded_count += 1
            if len(self._rounded) < ROUNDED_SHOWN:
                self._rounded[name_of(subject)] = None
        return verdict is not Verdict.DIFFERENT

    def _difference(self, subject: Subject, one: _Open) -> Difference:
        return Difference(name_of(subject), self._state.differences(subject, one.answer), one.was_touched)


def compare_kept(state: State, kept: Iterable[tuple[AnySubject, Answer]]) -> tuple[int, list[Difference]]:
    """Compares a state that stands still with answers that were kept; how many, and what differs."""
    count = 0
    differences: list[Difference] = []
    for subject, answer in kept:
        count += 1
        if state.judge(subject, answer) is Verdict.DIFFERENT:
            differences.append(Difference(name_of(subject), state.differences(subject, answer), False))
    return count, differences
