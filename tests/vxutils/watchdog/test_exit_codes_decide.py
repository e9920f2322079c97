"""0 stops, a named code stops with an alarm, anything else is answered by a new worker."""

from __future__ import annotations

import pytest

from tests.vxutils.watchdog import watched
from vxutils.exits import NOT_RESTARTED, ExitCode


@pytest.mark.parametrize("body", ["return 0", "sys.exit()", "sys.exit(0)"])
def test_exit_0_stops(body: str) -> None:
    code, lines, err = watched.finish(watched.start(body))
    assert (code, len(lines), lines[-1]) == (0, 2, "over 0")
    assert "CRITICAL" not in err


@pytest.mark.parametrize("ending", sorted(NOT_RESTARTED))
def test_a_named_code_is_not_restarted_and_alarmed(ending: ExitCode) -> None:
    code, lines, err = watched.finish(watched.start(f"return {ending.value}"))
    assert (code, lines[-1]) == (ending, f"over {ending.value}")
    assert len([line for line in lines if line.startswith("worker")]) == 1
    assert f"exited with status: {ending.value} ({ending.name}); not restarted" in err


def test_the_reason_of_a_process_exit_is_told() -> None:
    process = watched.start("raise ProcessExit(ExitCode.JOURNAL_DAMAGED, 'segment 7, offset 4096')")
    code, _, err = watched.finish(process)
    assert code == ExitCode.JOURNAL_DAMAGED
    assert "CRITICAL segment 7, offset 4096" in err


@pytest.mark.parametrize("body", ["return 3", "sys.exit('broken')", "return ExitCode.FAILURE"])
def test_any_other_code_is_answered_by_a_new_worker(body: str) -> None:
    process = watched.start(body)
    assert watched.next_birth(process) != watched.next_birth(process)
    process.terminate()
    watched.finish(process)


def test_a_watchdog_with_threads_is_our_own_fault() -> None:
    from tests.vxutils.process import script

    code, out = script.run("""
        import threading, time
        from vxutils.watchdog import run_watched
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
        try:
            run_watched(lambda: 0, "tested")
        except AssertionError as error:
            print(error)
    """)
    assert (code, out) == (0, "the watchdog forks: no thread may exist yet\n")
