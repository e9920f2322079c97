"""From a trade to what is pushed because of it, at the defaults: the p50 that is promised is 20 ms.

    takes, some per second --RPC--> engine --ring--------------------------> accessws --> depth.update
                                      '-journal-> recorder -> messages --> accessws --> deals, order, asset

100 subscribers watch depth and deals of one market; its maker watches his orders, the taker his balance.
Everything runs on this machine, the clients too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench import takes
from bench.backend import Backend
from bench.engine import Engine
from bench.gateway import WebsocketGateway
from bench.light_client import LightClients, request
from bench.process import ServiceError
from bench.push_times import KINDS, PushTimes, milliseconds

SUBSCRIBERS = 100
RATE = 50.0
P50_MS_MAX = 20.0
DEPTH_LIMIT = 20
SETTLE_S = 1.5  # a token is known after a second
JOIN_S = 10.0


def measure(place: Path, subscribers: int, rate: float, seconds: float) -> dict[str, Any]:
    """One run on a fresh data directory. Raises: ServiceError, LightClientError, OSError."""
    with tempfile.TemporaryDirectory(prefix="latency-", dir=place) as name:
        directory = Path(name)
        engine = patient_engine(directory, 1)
        with Backend(engine, directory) as backend, WebsocketGateway(directory, backend) as gateway:
            takes.prepare((engine.host, engine.port), 1)
            market = takes.market_name(0)
            shown = PushTimes(market)
            clients = LightClients(gateway.port, shown.note)
            try:
                watching = [
                    request(1, "depth.subscribe", [market, DEPTH_LIMIT, "0"]),
                    request(2, "deals.subscribe", [market]),
                ]
                tokens = [gateway.add_token(user) for user in (takes.MAKER, takes.TAKER)]
                clients.connect(watching, count=subscribers, watch=True)
                clients.serve(SETTLE_S)
                for token in tokens:
                    clients.connect([request(1, "server.auth", [token, "bench"])], watch=True)
                join(clients, shown, 2 * subscribers + 2)
                clients.send(subscribers, request(2, "order.subscribe", [market]))
                clients.send(subscribers + 1, request(2, "asset.subscribe", [takes.STOCK]))
                join(clients, shown, 2 * subscribers + 4)
                path = directory / "times"
                trade(clients, engine, 1, rate, seconds, path)
                sent, replied = takes.read_times(path)
            finally:
                clients.close()
    begin, end = sent[0], sent[-1] + 1
    result: dict[str, Any] = {"kind": "latency", "subscribers": subscribers, "trades_per_s": rate}
    result |= {"seconds": seconds, "load_average_1_min": round(os.getloadavg()[0], 2)}
    result["reply"] = milliseconds(sorted(done - at for at, done in zip(sent, replied, strict=True)))
    for kind in KINDS:
        for since, times in (("sent", sent), ("replied", replied)):
            result[f"{kind}_since_{since}"] = milliseconds(shown.latencies(kind, [market], times, begin, end))
    result["is_good"] = not clients.lost and all(
        result[f"{kind}_since_sent"].get("p50", P50_MS_MAX) < P50_MS_MAX for kind in KINDS
    )
    return result


def patient_engine(directory: Path, markets: int) -> Engine:
    """An engine that refuses no trade for having waited: each has its number, also on a busy machine."""
    engine = Engine(directory, rules=takes.rules(markets))
    engine.settings.write_text("queue_age_max_ms = 0\n" + engine.settings.read_text())
    return engine


def join(clients: LightClients, shown: PushTimes, replies: int) -> None:
    """Until so many requests were answered. Raises: ServiceError when one was refused, or was not."""
    waited_s = 0.0
    while shown.replies < replies and waited_s < JOIN_S:
        clients.serve(0.05)
        waited_s += 0.05
    if shown.replies != replies or shown.refused:
        raise ServiceError(f"{shown.replies} of {replies} requests answered, {shown.refused} refused")


def trade(
    clients: LightClients,
    engine: Engine,
    markets: int,
    rate: float,
    seconds: float,
    path: Path,
    look: Callable[[LightClients], None] = lambda clients: None,
) -> None:
    """Trades at the rate while the clients are served; their times are in `path`.

    `look` is called again and again. Raises: ServiceError.
    """
    settings = takes.TakeSettings(engine.host, engine.port, markets, rate, seconds, str(path))
    words = [sys.executable, "-m", "bench.takes", msgspec.json.encode(settings).decode()]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None:
                clients.serve(0.1)
                look(clients)
        finally:
            process.kill()
        assert process.stderr is not None
        said = process.stderr.read()
    if process.returncode:
        raise ServiceError(f"the taker ended with {process.returncode}: {said}")
    clients.serve(0.5)  # the last pushes


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a table."""
    return [*times_table(result), _verdict(result)]


def times_table(result: dict[str, Any]) -> list[str]:
    """All times in a result."""
    rows = [f"  {'':24}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}"]
    for name, figures in result.items():
        if isinstance(figures, dict) and "p50" in figures:
            shown = "".join(f"{figures[part]:10.1f}" for part in ("p50", "p99", "max"))
            rows.append(f"  {name.replace('_', ' '):24}{shown}")
    return rows


def _verdict(result: dict[str, Any]) -> str:
    verdict = "good" if result["is_good"] else "NOT GOOD"
    return f"  load average {result['load_average_1_min']}: {verdict}"
