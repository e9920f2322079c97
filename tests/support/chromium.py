"""A headless Chromium, always ended: pages that are opened in it, and what they show.

    with Chromium(tmp_path) as browser, browser.open("http://127.0.0.1:1234/page.html") as page:
        page.text("title")

It talks to nobody but this machine: background services are off, and names other than localhost do not
resolve. Source: Chrome DevTools Protocol (Target and Runtime domains).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import connect

from tests.support.processes import wait_until

PROGRAM = "chromium"
START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 20.0
WORDS = [
    "--headless",
    "--no-sandbox",  # root can not have one
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # that memory is for rings
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
]


def program() -> str | None:
    """Where it is installed; None if it is not."""
    return shutil.which(PROGRAM)


class Chromium:
    """One browser with a profile of its own below `directory`. A context manager."""

    def __init__(self, directory: Path) -> None:
        self._profile = directory / "profile"
        self._output = directory / "chromium.output"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Chromium:
        found = program()
        assert found is not None, f"{PROGRAM} is not installed"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [found, *WORDS, f"--user-data-dir={self._profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # it is ended with all its processes
            )
        try:
            wait_until(self._is_ready, "Chromium to listen", START_TIMEOUT_S)
        except BaseException as error:
            error.add_note(self._output.read_text(errors="replace")[-4000:])
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(ANSWER_TIMEOUT_S)

    def open(self, url: str) -> Page:
        """A new tab."""
        base = f"http://127.0.0.1:{self._port()}/json/new?"
        request = urllib.request.Request(base + url, method="PUT")
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
            return Page(json.load(answer)["webSocketDebuggerUrl"])

    def _is_ready(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "Chromium has ended"
        return bool(self._port())

    def _port(self) -> int:
        """Where it listens for its driver, 0 as long as it does not."""
        try:
            return int((self._profile / "DevToolsActivePort").read_text().split()[0])
        except (OSError, IndexError):
            return 0


class Page:
    """One tab, driven over its debugging connection. A context manager."""

    def __init__(self, url: str) -> None:
        self._connect = connect(url, open_timeout=ANSWER_TIMEOUT_S, compression=None)
        self._socket = self._connect.__enter__()
        self._last_id = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._connect.__exit__(kind, error, where)

    def text(self, element: str) -> str:
        """The text of the element with this id, empty if there is none."""
        return str(self.value(f"document.getElementById({json.dumps(element)})?.textContent ?? ''"))

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to in the page; a JSON value."""
        self._last_id += 1
        parameters = {"expression": expression, "returnByValue": True}
        command = {"id": self._last_id, "method": "Runtime.evaluate", "params": parameters}
        self._socket.send(json.dumps(command))
        while True:
            reply = json.loads(self._socket.recv(ANSWER_TIMEOUT_S))
            if reply.get("id") == self._last_id:
                assert "exceptionDetails" not in reply["result"], reply
                return reply["result"]["result"].get("value")
