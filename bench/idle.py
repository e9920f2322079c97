"""Very many connections that do nothing: what each of them costs, and whether the gateway still answers.

    client processes --connections from several loopback addresses--> listener --> accessws workers

A process may have so many open files (`ulimit -n`); connections are spread over as many clients and workers
as that takes. There is no exchange behind them. Idle is not silent: the gateway asks each quiet client every
30 s whether it is there, and gets its pong. Then one more client connects and asks, beside all the others.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gateway import WebsocketGateway
from bench.light_client import CLIENTS_PER_SOURCE, LightClientError, LightClients, request
from bench.process import ServiceError, process_facts
from bench.push_times import PushTimes, milliseconds

CONNECTIONS = 100_000
FILES_BESIDE = 1_000  # of a process, for other things than connections
ROOM_PART = 8  # of connections
FIRST_SOURCE = 3
CONNECT_DEADLINE_S = 300.0
QUESTIONS = 100
ANSWER_DEADLINE_S = 5.0


def measure(place: Path, connections: int, seconds: float) -> dict[str, Any]:
    """One run; idle for `seconds`. Raises: ServiceError, LightClientError, OSError."""
    # The listener gives to whom it likes: in each worker there is some room above an even share.
    wanted = connections + connections // ROOM_PART + FILES_BESIDE + ROOM_PART
    per_process = (raise_file_limit(wanted) - FILES_BESIDE) * ROOM_PART // (ROOM_PART + 1)
    processes = -(-connections // per_process)
    with tempfile.TemporaryDirectory(prefix="idle-", dir=place) as name:
        directory = Path(name)
        each = -(-connections // processes)
        room = each + each // ROOM_PART
        with WebsocketGateway(directory, None, workers=processes, connections_max=room) as gateway:
            empty = gateway.worker_facts()
            kernel = _kernel_bytes()
            crowds: list[_Crowd] = []
            try:
                begun = time.monotonic()
                for number in range(processes):
                    count = min(each, connections - number * each)
                    sources = -(-count // CLIENTS_PER_SOURCE)
                    crowds.append(_Crowd(gateway.port, count, FIRST_SOURCE + number * sources))
                for crowd in crowds:
                    crowd.wait_joined()
                connect_s = time.monotonic() - begun
                joined = gateway.worker_facts()
                time.sleep(seconds)
                idle = gateway.worker_facts()
                idle_s = time.monotonic() - begun - connect_s
                answers = _ask(gateway.port)
                kernel_now = _kernel_bytes()
                lost = sum(crowd.ask_lost() for crowd in crowds)
                clients_bytes = sum(crowd.resident_bytes for crowd in crowds)
            finally:
                for crowd in crowds:
                    crowd.end()
    used = idle.resident_bytes - empty.resident_bytes
    return {
        "kind": "idle",
        "connections": connections,
        "processes": processes,
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "connect_s": round(connect_s, 2),
        "connects_per_s": round(connections / connect_s),
        "worker_connect_cpu_us": round((joined.processor_s - empty.processor_s) / connections * 1e6),
        "bytes_per_connection": used // connections,
        "kernel_bytes_per_connection_both_ends": (kernel_now - kernel) // connections,
        "client_bytes_per_connection": clients_bytes // connections,
        "cpu_idle": round((idle.processor_s - joined.processor_s) / idle_s, 3),
        "seconds": round(idle_s, 1),
        "lost": lost,
        "answer": milliseconds(answers),
        "is_good": not lost and len(answers) == QUESTIONS,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result in words."""
    answer = result["answer"]
    return [
        f"  {result['connections']:,} connections, {result['processes']} workers and clients: "
        f"{result['connect_s']} s to connect, {result['worker_connect_cpu_us']} us of worker each",
        f"  bytes per connection: {result['bytes_per_connection']:,} of a worker, "
        f"{result['kernel_bytes_per_connection_both_ends']:,} of the kernel for both ends, "
        f"{result['client_bytes_per_connection']:,} of a client",
        f"  idle: {result['cpu_idle']:.3f} processors for {result['seconds']} s, {result['lost']} lost; "
        f"answers p50 {answer.get('p50')} ms, p99 {answer.get('p99')} ms",
        f"  load average {result['load_average_1_min']}: {'good' if result['is_good'] else 'NOT GOOD'}",
    ]


def raise_file_limit(wanted: int) -> int:
    """Raises the limit of open files, which processes we start inherit, as far as may be; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if hard != unlimited and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, PermissionError):
            wanted = hard
    if soft == unlimited or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class _Crowd:
    """A process of idle clients."""

    def __init__(self, port: int, count: int, first_source: int) -> None:
        words = [sys.executable, "-m", "bench.light_client", str(port), str(count), str(first_source)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._count = count

    def wait_joined(self) -> None:
        """Raises: LightClientError."""
        joined = self._read()["joined"]
        if joined != self._count:
            raise LightClientError(f"{joined} of {self._count} connected")

    def ask_lost(self) -> int:
        """How many of them were closed by now. Raises: LightClientError."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._read()["lost"])

    @property
    def resident_bytes(self) -> int:
        return process_facts(self._process.pid).resident_bytes

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, int]:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise LightClientError(f"a client process ended: {self._process.stderr.read()}")
        facts: dict[str, int] = json.loads(line)
        return facts


def _ask(port: int) -> list[float]:
    """Some questions of a new client, one after the other; sorted seconds until the answers."""
    shown = PushTimes("")
    clients = LightClients(port, shown.note)
    found = []
    try:
        clients.connect(watch=True)
        for number in range(QUESTIONS):
            begun = time.monotonic()
            clients.send(0, request(number + 1, "server.ping", []))
            while shown.replies <= number:
                clients.serve(0.0005)
                if time.monotonic() - begun > ANSWER_DEADLINE_S:
                    raise ServiceError("the gateway does not answer")
            found.append(time.monotonic() - begun)
    finally:
        clients.close()
    return sorted(found)


def _kernel_bytes() -> int:
    """Memory of the kernel's own objects and of sockets' buffers. Source: proc(5), Slab and sockstat."""
    slab = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Slab:"))
    tcp = next(
        line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:")
    )
    return int(slab.split()[1]) * 1024 + int(tcp.split()[-1]) * os.sysconf("SC_PAGE_SIZE")
