"""`vx status`: how the processes of a running exchange are, asked of their monitors and consoles.

    data directory -> up/running.json, or the default addresses -> GET /health, console `status` -> one table

It reads and asks, and changes nothing. Each question has a deadline; a process that does not answer is down.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.cli.effective import effective_settings
from gateways.cli.home import running_path
from gateways.cli.output import show
from gateways.cli.programs import CONFIGURED, ENGINE, MESSAGES_RECORDER, RECORDER, RECORDERS
from gateways.cli.running import RunningProcess, read_running
from gateways.cli.up import DEFAULT_DIRECTORY
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.exits import ExitCode, ProcessExit
from vxutils.store.embedded.history import HistoryReader, HistoryUnavailable
from vxutils.store.embedded.schema import HISTORY_FILE

OK: Final = "ok"
DEGRADED: Final = "degraded"
DOWN: Final = "down"
STARTING: Final = "starting"

TIMEOUT_S: Final = 2.0
ANSWER_BYTES_MAX: Final = 256 * 1024

_COLUMNS: Final = ("process", "state", "address", "pid", "sequence", "lag", "connections")
_NOTHING: Final = "-"
_RECORDERS: Final = tuple(program.name for program in RECORDERS)
_END_OF_ANSWER: Final = b"command not found\n"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `lag`: records that are not durable yet, or that a follower has not seen. None: not known.

    `facts` is what its monitor says, `problem` why it is not ok, in words.
    """

    process: str
    state: str
    address: str
    pid: int | None = None
    sequence: int | None = None
    lag: int | None = None
    connections: int | None = None
    problem: str = ""
    facts: dict[str, Any] = {}


def status(options: argparse.Namespace) -> int:
    """`vx status`; OK if all is well, else FAILURE. Raises: ProcessExit."""
    rows = [_row(process) for process in _processes(options.data_dir, options.port_offset)]
    rows = _with_recorder(rows, (options.data_dir or Path(DEFAULT_DIRECTORY)) / HISTORY_FILE)
    if options.json:
        show(json.dumps([msgspec.to_builtins(row) for row in rows], indent=2))
    else:
        _show_table(rows)
    return ExitCode.OK if all(row.state == OK for row in rows) else ExitCode.FAILURE


def _processes(directory: Path | None, port_offset: int) -> list[RunningProcess]:
    """Where to ask. Raises: ProcessExit if nothing was started in a directory that was named."""
    looked_at = directory or Path(DEFAULT_DIRECTORY)
    try:
        found = None if port_offset and directory is None else read_running(looked_at)
    except (OSError, msgspec.MsgspecError) as error:
        raise ProcessExit(ExitCode.FAILURE, f"{running_path(looked_at)} can not be read: {error}") from None
    if found is None and directory is not None:
        raise ProcessExit(ExitCode.FAILURE, f"no `vx up` runs in {directory}")
    return found if found is not None else _at_default_addresses(port_offset)


def _at_default_addresses(port_offset: int) -> list[RunningProcess]:
    """For processes that were started one by one, by supervisord for instance, on their usual ports."""
    found = []
    for program in CONFIGURED:
        table = effective_settings(program, None, port_offset, Path("/")).table
        if program is ENGINE:
            monitor = table["recorder"]["monitor_address"] or None
            found.append(RunningProcess(RECORDER.name, None, True, [], None, monitor))
        listeners = table.get("listener") or [table.get("svr")]
        found.append(
            RunningProcess(
                program.name,
                None,
                True,
                list(listeners[0]["bind"]),
                table.get("cli", {}).get("address") or None,
                table.get("monitor", {}).get("address") or None,
            )
        )
    return found


def _row(process: RunningProcess) -> Row:
    try:
        state, facts = _ask(process)
        problem = "" if state == OK else _flat(facts) or "its monitor does not say why"
    except (OSError, http.client.HTTPException, AddressError, ValueError) as error:
        state, facts = (DOWN if process.is_ready or process.pid is None else STARTING), {}
        problem = f"does not answer at {process.monitor or process.console}: {_words(error)}"
    sequence, durable = _number(facts, "sequence"), _number(facts, "durable_sequence")
    return Row(
        process=process.name,
        state=state,
        address=" ".join(process.serves) or _NOTHING,
        pid=_number(facts, "pid") or process.pid,
        sequence=sequence,
        lag=sequence - durable if sequence is not None and durable is not None else _number(facts, "lag"),
        connections=_number(facts, "connections"),
        problem=problem,
        facts=facts,
    )


def _with_recorder(rows: list[Row], history: Path) -> list[Row]:
    """A recorder without a monitor answers nobody: how far it is stands in the history that it writes."""
    names = [row.process for row in rows if row.process in _RECORDERS and row.state == OK and not row.facts]
    if RECORDER.name not in names or MESSAGES_RECORDER.name in names:
        return rows  # with two of them the file says how far one of them is, or none
    durable = next(
        (_number(row.facts, "durable_sequence") for row in rows if row.process == ENGINE.name), None
    )
    reader = HistoryReader(history)
    try:
        sequence = reader.position().sequence
    except HistoryUnavailable as error:
        found: dict[str, Any] = {"state": DEGRADED, "problem": str(error)}
    else:
        lag = max(0, durable - sequence) if durable is not None else None
        found = {"sequence": sequence, "lag": lag}
    finally:
        reader.close()
    return [msgspec.structs.replace(row, **found) if row.process == RECORDER.name else row for row in rows]


def _ask(process: RunningProcess) -> tuple[str, dict[str, Any]]:
    """State and facts, from the monitor or else the console; without both there is nobody to ask.

    Raises: OSError, HTTPException, AddressError, ValueError if there is no answer.
    """
    if process.monitor is not None:
        health = _health(parse_address(process.monitor))
        return str(health["status"]), health["facts"]
    if process.console is not None:
        return OK, _console_status(parse_address(process.console))
    return OK if process.is_ready else STARTING, {}


def _health(monitor: Address) -> dict[str, Any]:
    """What GET /health says. Raises: OSError, HTTPException, ValueError."""
    with _connect(monitor) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        response = http.client.HTTPResponse(sock, method="GET")
        response.begin()
        answer = json.loads(response.read(ANSWER_BYTES_MAX))
    if not isinstance(answer, dict) or not isinstance(answer.get("facts", {}), dict):
        raise ValueError("the answer is no health")
    if answer.get("status") not in (OK, DEGRADED, DOWN):
        raise ValueError(f"the status {answer.get('status')!r} is not known")
    return {"facts": {}, **answer}


def _console_status(console: Address) -> dict[str, Any]:
    """The lines `name: value` of the console's `status`, named as facts are. Raises: OSError."""
    # The console marks no end of an answer, so a command it surely does not know is sent behind it.
    answer = b""
    with _connect(console) as sock:
        sock.sendall(b"status\nno-such-command\n")
        while not answer.endswith(_END_OF_ANSWER) and len(answer) < ANSWER_BYTES_MAX:
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("the console closed the connection")
            answer += data
    pairs = (line.partition(": ") for line in answer.decode(errors="replace").splitlines())
    return {name.replace(" ", "_"): value for name, separator, value in pairs if separator}


def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address.family, address.socktype)
    try:
        sock.settimeout(TIMEOUT_S)
        sock.connect(address.sockaddr())
    except OSError:
        sock.close()
        raise
    return sock


def _number(facts: Mapping[str, Any], name: str) -> int | None:
    try:
        return int(facts[name])
    except (KeyError, TypeError, ValueError):
        return None


def _show_table(rows: list[Row]) -> None:
    lines: list[tuple[str, ...]] = [_COLUMNS]
    for row in rows:
        values = (getattr(row, column) for column in _COLUMNS)
        lines.append(tuple(_NOTHING if value is None else str(value) for value in values))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        show("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row.problem:
            show(f"{row.process}: {row.problem}")


def _flat(facts: Mapping[str, Any], prefix: str = "") -> str:
    """Facts as one line of words."""
    parts = []
    for name, value in facts.items():
        if isinstance(value, dict):
            parts.append(_flat(value, f"{prefix}{name}."))
        else:
            parts.append(f"{prefix}{name}={value}")
    return ", ".join(part for part in parts if part)


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
