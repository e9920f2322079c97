"""A watched worker for these tests: what it does is Python source, each birth is a line `worker <pid>`."""

from __future__ import annotations

import re
import subprocess
import textwrap

from tests.vxutils.process import script

PROGRAM = """
import logging, os, signal, subprocess, sys, time
from vxutils.exits import ExitCode, ProcessExit
from vxutils.watchdog import RestartPolicy, run_watched

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def worker():
    say("worker", os.getpid())
{body}

if len(sys.argv) > 1:
    from vxutils.alert import AlertHandler
    logging.getLogger().addHandler(AlertHandler("host-1", sys.argv[1]))
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
policy = RestartPolicy(stop_timeout_s={stop_timeout_s}, backoff_first_s={backoff_first_s})
code = run_watched(worker, "tested", policy=policy, on_fatal=lambda text: say("fatal", text))
say("over", code)
sys.exit(code)
"""


def start(
    body: str, *arguments: object, stop_timeout_s: float = 10.0, backoff_first_s: float = 1.0
) -> subprocess.Popen[str]:
    """Starts a watchdog over a worker of this body; ends with the watchdog's exit code."""
    source = PROGRAM.format(
        body=textwrap.indent(textwrap.dedent(body), "    "),
        stop_timeout_s=stop_timeout_s,
        backoff_first_s=backoff_first_s,
    )
    return script.start(source, *arguments)


def next_birth(process: subprocess.Popen[str]) -> int:
    """Pid of the next worker; lines in between are skipped."""
    while line := script.read_line(process):
        if found := re.fullmatch(r"worker (\d+)", line):
            return int(found[1])
    raise AssertionError(f"no further worker; exit code {process.wait(script.DEADLINE_S)}")


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Exit code, remaining lines of output, standard error."""
    out, err = process.communicate(timeout=script.DEADLINE_S)
    return process.returncode, out.splitlines(), err
