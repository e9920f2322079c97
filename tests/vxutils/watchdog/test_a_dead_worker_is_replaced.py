"""kill -9 of the worker, an uncaught exception: one alarm, a new worker at once, pauses when it goes on."""

from __future__ import annotations

import os
import signal
import socket
import time

from tests.vxutils.process import script
from tests.vxutils.watchdog import watched

SLEEP = "time.sleep(60); return 0"


def test_kill_9_is_answered_within_a_second_by_a_new_worker() -> None:
    process = watched.start(SLEEP)
    pids = [watched.next_birth(process)]
    for _ in range(2):
        killed_at = time.monotonic()
        os.kill(pids[-1], signal.SIGKILL)
        pids.append(watched.next_birth(process))
        assert time.monotonic() - killed_at < 1.0
    assert len(set(pids)) == 3
    assert not script.is_alive(pids[0])
    process.terminate()
    assert watched.finish(process)[0] == 0


def test_the_death_is_alarmed_in_the_words_of_the_c_system() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as centre:
        centre.bind(("127.0.0.1", 0))
        centre.settimeout(script.DEADLINE_S)
        process = watched.start(SLEEP, f"127.0.0.1:{centre.getsockname()[1]}")
        pid = watched.next_birth(process)
        os.kill(pid, signal.SIGKILL)
        alert = centre.recv(65536).decode()
        text = f"process: {pid}, name: tested terminated by signal: 'Killed'"
        assert alert.startswith("373d26968a5a2b698045host-1: [fatal]watchdog.py:")
        assert alert.endswith(f": {text}\n")
        assert script.read_line(process) == f"fatal {text}"
        process.terminate()
        assert watched.finish(process)[0] == 0


def test_an_uncaught_exception_is_logged_and_answered() -> None:
    process = watched.start("assert os.getpid() == 1, 'book crossed'")
    for _ in range(2):
        watched.next_birth(process)
    process.terminate()
    _, _, err = watched.finish(process)
    assert "CRITICAL name: tested ends by an uncaught AssertionError('book crossed')" in err
    assert "exited with status: 1" in err


def test_dying_at_once_again_and_again_is_slowed_down() -> None:
    process = watched.start("say('at', time.monotonic()); os.abort()", backoff_first_s=0.5)
    births: list[float] = []
    while len(births) < 4:
        word, _, rest = script.read_line(process).partition(" ")
        if word == "at":
            births.append(float(rest))
    assert births[3] - births[2] >= 0.5
    process.terminate()
    _, _, err = watched.finish(process)
    assert "died at once several times, next start in 0.5 s" in err


def test_a_stop_during_the_pause_is_obeyed_at_once() -> None:
    process = watched.start("os.abort()", backoff_first_s=30.0)
    deaths = 0
    while deaths < 3:
        deaths += script.read_line(process).startswith("fatal ")
    process.terminate()
    code, lines, _ = watched.finish(process)
    assert (code, lines[-1]) == (0, "over 0")
