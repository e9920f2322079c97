"""A stop signal to the watchdog reaches the worker as TERM, ends bounded, and gives the worker's own code."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.vxutils.process import script
from tests.vxutils.watchdog import watched

ORDERLY = """
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    say("ready")
    while not stopped:
        time.sleep(0.01)
    say("slice written")
    return {code}
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('ready'); time.sleep(60)"


def started(body: str, **policy: float) -> tuple[int, subprocess.Popen[str]]:
    process = watched.start(body, **policy)
    pid = watched.next_birth(process)
    assert script.read_line(process) == "ready"
    return pid, process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP])
def test_the_worker_finishes_before_the_watchdog(number: signal.Signals) -> None:
    pid, process = started(ORDERLY.format(code=0))
    process.send_signal(number)
    process.send_signal(number)
    code, lines, err = watched.finish(process)
    assert (code, lines) == (0, ["slice written", "over 0"])
    assert "CRITICAL" not in err
    assert not script.is_alive(pid)


def test_the_result_is_the_code_of_the_worker() -> None:
    _, process = started(ORDERLY.format(code=74))
    process.terminate()
    code, lines, err = watched.finish(process)
    assert (code, lines[-1]) == (74, "over 74")
    assert "JOURNAL_IO" in err


def test_a_worker_not_yet_listening_ends_by_the_signal() -> None:
    _, process = started("say('ready'); time.sleep(60)")
    process.terminate()
    code, lines, err = watched.finish(process)
    assert (code, lines) == (0, ["over 0"])
    assert "CRITICAL" not in err


def test_a_deaf_worker_is_killed() -> None:
    pid, process = started(DEAF, stop_timeout_s=0.3)
    process.terminate()
    code, _, err = watched.finish(process)
    assert code == 1
    assert "did not stop in 0.3 s, killed" in err
    assert not script.is_alive(pid)


def test_a_crash_while_stopping_is_not_answered_by_a_new_worker() -> None:
    _, process = started(ORDERLY.format(code="os.abort()"))
    process.terminate()
    code, lines, _ = watched.finish(process)
    assert code == 1
    assert "terminated by signal: 'Aborted'" in lines[1]
    assert lines[2:] == ["over 1"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU])
def test_the_watchdog_ignores_the_signals_meant_for_workers(number: signal.Signals) -> None:
    pid, process = started("say('ready'); time.sleep(60)")
    process.send_signal(number)
    assert script.is_alive(pid)
    process.terminate()
    assert watched.finish(process)[0] == 0
