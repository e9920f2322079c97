"""TERM, QUIT, INT, HUP stop once; TTIN, TTOU change the level; USR1, PIPE do nothing (protocol.md 10.6)."""

from __future__ import annotations

import os
import signal

import pytest

from tests.vxutils.process import script

WORKER = """
    import sys, uvloop
    from vxutils.process import install_signals
    loop = uvloop.new_event_loop()
    def stop(name):
        print("stop", name)
        loop.call_later(0.2, loop.stop)  # time for a second signal
    levels = {} if "bare" in sys.argv else {
        "level_up": lambda: print("up"), "level_down": lambda: print("down")}
    install_signals(loop, stop, **levels)
    print("ready")
    loop.run_forever()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_stops_once(number: signal.Signals) -> None:
    process = script.start(WORKER)
    assert script.read_line(process) == "ready"
    process.send_signal(number)
    assert script.read_line(process) == f"stop {number.name}"
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=script.DEADLINE_S)[0] == ""
    assert process.returncode == 0


def test_levels_go_up_and_down() -> None:
    process = script.start(WORKER)
    assert script.read_line(process) == "ready"
    for number, word in ((signal.SIGTTIN, "up"), (signal.SIGTTOU, "down"), (signal.SIGTTIN, "up")):
        process.send_signal(number)
        assert script.read_line(process) == word
    process.terminate()
    process.communicate(timeout=script.DEADLINE_S)


def test_the_others_are_ignored() -> None:
    process = script.start(WORKER, "bare")
    assert script.read_line(process) == "ready"
    for number in (signal.SIGUSR1, signal.SIGPIPE, signal.SIGTTIN, signal.SIGTTOU):
        process.send_signal(number)
    process.terminate()
    assert process.communicate(timeout=script.DEADLINE_S)[0] == "stop SIGTERM\n"


def test_nohup_is_respected() -> None:
    source = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + os.linesep.join(
        line[4:] for line in WORKER.splitlines()
    )
    process = script.start(source)
    assert script.read_line(process) == "ready"
    process.send_signal(signal.SIGHUP)
    process.terminate()
    assert process.communicate(timeout=script.DEADLINE_S)[0] == "stop SIGTERM\n"


def test_a_signal_before_the_loop_runs_is_answered_when_it_does() -> None:
    source = """
        import os, signal, uvloop
        from vxutils.process import install_signals
        loop = uvloop.new_event_loop()
        install_signals(loop, lambda name: (print("stop", name), loop.stop()))
        os.kill(os.getpid(), signal.SIGTERM)
        loop.call_later(5, loop.stop)
        loop.run_forever()
    """
    assert script.run(source) == (0, "stop SIGTERM\n")


def test_a_signal_after_the_loop_is_closed_hurts_nobody() -> None:
    source = """
        import os, signal, uvloop
        from vxutils.process import install_signals
        loop = uvloop.new_event_loop()
        install_signals(loop, lambda name: print("stop", name))
        loop.close()
        os.kill(os.getpid(), signal.SIGTERM)
        print("last line")
    """
    assert script.run(source) == (0, "last line\n")
