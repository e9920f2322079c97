"""Killing engines and looking at what is left: the shared steps of the crash tests of this folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from matchengine.slices import list_slices, verify_slice
from tests.support.configs import toml_config
from tests.support.crash_client import MARKET, UPDATE, CrashClient, Request, ask_all
from tests.support.journal_truth import JournalTruth
from tests.support.processes import EngineProcess, wait_until
from vxutils.disk import Disk

CONFIG_TCP = ("tcp@127.0.0.1:0",)
TOOL_TIMEOUT_S = 60.0

_BIRTH = re.compile(r"process: (\d+), name: matchengine started")


def crash_config(segment_size_bytes: int = 8 << 20, **changed: Any) -> str:
    """Settings for the crash tests; segments as small as asked, no reserve."""
    return toml_config(bind=CONFIG_TCP, journal={"segment_size_bytes": segment_size_bytes}, **changed)


def births(engine: EngineProcess) -> list[int]:
    """Pids of the workers that this start's watchdog has forked so far."""
    return [int(pid) for pid in _BIRTH.findall(engine.stderr)]


def kill_and_await_birth(engine: EngineProcess) -> float:
    """kill -9 of the worker; the seconds until the watchdog has forked the next one."""
    before = births(engine)
    begun = time.monotonic()
    assert engine.kill_worker() == before[-1]
    wait_until(lambda: len(births(engine)) > len(before), "the next worker")
    assert births(engine)[-1] not in before
    return time.monotonic() - begun


def matchengine(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs `python -m matchengine` to its end."""
    command = [sys.executable, "-m", "matchengine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)


def audit(data: Path) -> dict[str, Any]:
    """`matchengine audit --json` of a directory that is not in use; it must be sound."""
    done = matchengine("audit", "--json", "--data-dir", data)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["is_sound"], found
    return found


def check_updates_are_repeats(engine: EngineProcess, acknowledged: list[tuple[Request, Any]]) -> int:
    """Each acknowledged update answers `repeat update` when it is sent again; how many there were."""
    updates = [
        request for request, reply in acknowledged if request.command == UPDATE and reply["error"] is None
    ]
    for request, reply in zip(updates, ask_all(engine.address(), updates), strict=True):
        error = reply["error"]
        assert error is not None, request
        assert (error["code"], error["message"]) == (10, "repeat update"), (request, reply)
    return len(updates)


def live_answers(engine: EngineProcess, client: CrashClient) -> dict[Request, Any]:
    """What the serving engine says about everything that the client may have moved."""
    asked = [Request(101, json.dumps([user]).encode()) for user in client.users]
    asked += [Request(203, json.dumps([user, MARKET, 0, 101]).encode()) for user in client.users]
    asked += [Request(205, json.dumps([MARKET, side, 0, 101]).encode()) for side in (1, 2)]
    asked += [Request(206, json.dumps([MARKET, 101, "0"]).encode()), Request(308, b"[]"), Request(105, b"[]")]
    return dict(zip(asked, (reply["result"] for reply in ask_all(engine.address(), asked)), strict=True))


def stop_and_prove(engine: EngineProcess, client: CrashClient) -> JournalTruth:
    """A clean stop, then: journal, slice and what was answered agree. The engine must be serving."""
    answers = live_answers(engine, client)
    assert engine.terminate() == 0, engine.output
    truth = JournalTruth(engine.data_dir)
    truth.check(client)
    for request, answer in answers.items():
        text = truth.answer(request)
        assert answer == text, f"the engine served another state than its journal: {request}"
    found = audit(engine.data_dir)
    newest = verify_slice(Disk(), list_slices(Disk(), engine.data_dir / "slices")[-1].path)
    assert newest.header.sequence == found["sequence"], "a clean stop ends with a slice"
    assert newest.state_hash.hex() == found["state_hash"], "the live state is not that of a fresh replay"
    return truth
