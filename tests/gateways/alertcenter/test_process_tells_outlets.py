"""The real process and its outlets: told, told later, told after a kill."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.gateways.alertcenter.samples import M, service, stored
from tests.gateways.readhistory.running import wait_until


def test_an_outlet_is_told_and_a_failing_one_is_told_later(tmp_path: Path) -> None:
    out, allowed = tmp_path / "out", tmp_path / "allowed"
    script = f"test -e {allowed} && cat >> {out}"
    more = f"\n[command]\narguments = ['/bin/sh', '-c', '{script}']\n"
    with service(tmp_path, more) as center, center.connect() as sock:
        assert "no outlet" not in center.log
        sock.sendall(M + b"box: [fatal] number 1\n")
        wait_until(lambda: center.health()["status"] == "degraded", "the failure is seen")
        sock.sendall(M + b"box: [fatal] number 2\n")
        wait_until(lambda: center.health()["facts"]["lines"] == 2, "both are there")
        allowed.touch()
        wait_until(lambda: out.exists() and "2 times until" in out.read_text(), "both in one message")
        assert "box: [fatal] number 1" in out.read_text()
        wait_until(lambda: center.health()["status"] == "ok", "health")


def test_what_was_not_told_before_a_kill_is_told_after_the_restart(tmp_path: Path) -> None:
    out, allowed = tmp_path / "out", tmp_path / "allowed"
    script = f"test -e {allowed} && cat >> {out}"
    more = f"\n[command]\narguments = ['/bin/sh', '-c', '{script}']\n"
    with service(tmp_path, more, "--watchdog") as center:
        with center.connect() as sock:
            sock.sendall(M + b"box: [fatal] before the kill\n")
            wait_until(lambda: len(stored(center)) == 1, "stored")
            wait_until(lambda: "outlet command" in center.log, "tried")
            os.kill(center.worker_pid, signal.SIGKILL)
        center.wait_ready()
        allowed.touch()
        wait_until(lambda: out.exists() and "before the kill" in out.read_text(), "told", 15)
        assert center.terminate() == 0
    with service(tmp_path, more) as center:
        time.sleep(1.5)
        assert out.read_text().count("before the kill") == 1  # and not once more
