"""Many subscribers of many markets, and many trades: what goes out, how late, and what it costs.

    10,000 clients, each of depth and deals of one of 20 markets <-- accessws worker <-- engine, recorder
    takes, 5,000 per second in all markets ------------------------------------------------^

The gateway gathers what it can not push one by one: a client gets fewer pushes with more in each, deals at
most 100 in one (`gap` then). Latency is that of the watched clients, a hundredth of all, for every trade:
from its request to the first push that shows it. All processes share the processors of this machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import takes
from bench.backend import Backend
from bench.gateway import WebsocketGateway
from bench.latency import join, patient_engine, times_table, trade
from bench.light_client import LightClients, request
from bench.process import ProcessFacts, process_facts
from bench.push_times import PushTimes, milliseconds

SUBSCRIBERS = 10_000
MARKETS = 20
RATE = 5_000.0
WATCHED_PART = 100  # one client of so many
DEPTH_LIMIT = 20
WARM_UP_PART = 0.2  # of the run, before anything is counted
END_PART = 0.9  # of the run, from where on nothing is counted
SETTLE_S = 1.0
CATCH_UP_S = 60.0
LAST_PUSHES_S = 2.0


def measure(
    place: Path, subscribers: int, markets: int, rate: float, seconds: float, workers: int = 1
) -> dict[str, Any]:
    """One run on a fresh data directory. Raises: ServiceError, LightClientError, OSError."""
    with tempfile.TemporaryDirectory(prefix="fanout-", dir=place) as name:
        directory = Path(name)
        engine = patient_engine(directory, markets)
        with (
            Backend(engine, directory) as backend,
            WebsocketGateway(directory, backend, workers=workers, connections_max=subscribers) as gateway,
        ):
            takes.prepare((engine.host, engine.port), markets)
            names = [takes.market_name(number) for number in range(markets)]
            shown = PushTimes("")
            clients = LightClients(gateway.port, shown.note)
            try:
                empty = gateway.worker_facts()
                begun = time.monotonic()
                watched = _connect(clients, names, subscribers)
                join(clients, shown, 2 * watched)
                connect_s = time.monotonic() - begun
                clients.serve(SETTLE_S)
                idle = gateway.worker_facts()
                marks = _Marks(
                    lambda: {**backend.facts(), "accessws": gateway.worker_facts()},
                    lambda: _records_behind(backend),
                    seconds,
                )
                path = directory / "times"
                trade(clients, engine, markets, rate, seconds, path, marks.look)
                sent, replied = takes.read_times(path)
                caught_up_s = _serve_the_rest(clients, backend)
                busy = gateway.worker_facts()
            finally:
                clients.close()
    begin, end = marks.begin, marks.end
    result: dict[str, Any] = {"kind": "fanout", "subscribers": subscribers, "markets": markets}
    result |= {"trades_per_s": rate, "seconds": seconds, "workers": workers, "watched": watched}
    result |= {"load_average_1_min": round(os.getloadavg()[0], 2), "connect_s": round(connect_s, 2)}
    result["trades_done_per_s"] = round(sum(begin <= at < end for at in replied) / (end - begin))
    result |= marks.rates(clients)
    result["recorder_behind_s"] = round(marks.records_behind / rate, 2)
    result["recorder_caught_up_s"] = round(caught_up_s, 2)
    result["lost"] = clients.lost
    result["pushes_with_gap"] = shown.gaps
    result["bytes_per_client_idle"] = (idle.resident_bytes - empty.resident_bytes) // subscribers
    result["bytes_per_client_busy"] = (busy.resident_bytes - empty.resident_bytes) // subscribers
    result["reply"] = milliseconds(
        sorted(done - at for at, done in zip(sent, replied, strict=True) if begin <= at < end)
    )
    for kind in ("depth", "deals"):
        result[f"{kind}_since_sent"] = milliseconds(shown.latencies(kind, names, sent, begin, end))
    counted = sum(begin <= at < end for at in sent) * watched // markets
    result["not_shown"] = {
        kind: counted - len(shown.latencies(kind, names, sent, begin, end)) for kind in ("depth", "deals")
    }
    result["is_good"] = not clients.lost and not any(result["not_shown"].values())
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """The result in words."""
    processors = ", ".join(f"{name} {used:.2f}" for name, used in result["cpu"].items())
    return [
        f"  {result['trades_done_per_s']:,} trades/s: {result['pushes_per_s']:,} pushes/s, "
        f"{result['megabytes_per_s']} MB/s, {result['reads_per_client_s']} reads/s of each client",
        *times_table(result),
        f"  processors: {processors}",
        f"  bytes of the workers per client: {result['bytes_per_client_idle']:,} subscribed, "
        f"{result['bytes_per_client_busy']:,} after the load",
        f"  the recorder was {result['recorder_behind_s']} s behind at the end, and caught up "
        f"{result['recorder_caught_up_s']} s later; not shown to watched clients: {result['not_shown']}; "
        f"{result['lost']} clients lost, {result['pushes_with_gap']} pushes with a gap",
        f"  load average {result['load_average_1_min']}: {'good' if result['is_good'] else 'NOT GOOD'}",
    ]


def _connect(clients: LightClients, names: list[str], subscribers: int) -> int:
    """All clients, spread over the markets; how many of them are watched."""
    watched = 0
    for number, name in enumerate(names):
        count = subscribers // len(names) + (number < subscribers % len(names))
        requests = [
            request(1, "depth.subscribe", [name, DEPTH_LIMIT, "0"]),
            request(2, "deals.subscribe", [name]),
        ]
        some = -(-count // WATCHED_PART)
        if some:
            clients.connect(requests, count=some, watch=True)
        clients.connect(requests, count=count - some)
        watched += some
    return watched


def _serve_the_rest(clients: LightClients, backend: Backend) -> float:
    """Until all is recorded, and the messages of it were pushed; how many seconds the recorder took."""
    begun = time.monotonic()
    while _records_behind(backend) and time.monotonic() - begun < CATCH_UP_S:
        clients.serve(0.1)
    took_s = time.monotonic() - begun
    clients.serve(LAST_PUSHES_S)
    return took_s


def _records_behind(backend: Backend) -> int:
    state = backend.recorder.state()
    return state.durable_sequence - state.sequence


class _Marks:
    """What has been used and received between the end of the warm-up and almost the end of the run."""

    def __init__(
        self, facts: Callable[[], dict[str, ProcessFacts]], behind: Callable[[], int], seconds: float
    ) -> None:
        self.begin = self.end = 0.0
        self.records_behind = 0
        """How far the recorder was behind at the end."""
        self._facts = facts
        self._behind = behind
        self._warm_up_s = seconds * WARM_UP_PART
        self._end_s = seconds * END_PART
        self._begun = 0.0
        self._at: list[tuple[float, dict[str, ProcessFacts], int, int, int]] = []

    def look(self, clients: LightClients) -> None:
        """Called all the time while it trades."""
        now = time.monotonic()
        self._begun = self._begun or now
        due = self._warm_up_s if not self._at else self._end_s
        if len(self._at) < 2 and now - self._begun >= due:
            self.records_behind = self._behind()
            facts = self._facts() | {"clients": process_facts(os.getpid())}
            self._at.append((now, facts, clients.frames, clients.bytes, clients.reads))
            self.begin, self.end = self._at[0][0], now

    def rates(self, clients: LightClients) -> dict[str, Any]:
        """Per second, in between."""
        (begin, before, *counts), (end, after, *later) = self._at
        seconds = end - begin
        frames, read, reads = ((now - then) / seconds for now, then in zip(later, counts, strict=True))
        return {
            "pushes_per_s": round(frames),
            "megabytes_per_s": round(read / 1e6, 2),
            "reads_per_client_s": round(reads / max(len(clients), 1), 2),
            "cpu": {
                name: round((fact.processor_s - before[name].processor_s) / seconds, 2)
                for name, fact in after.items()
            },
        }
