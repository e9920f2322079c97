"""The real program, in whose memory one bit of one balance flips when it gets a signal.

    python -m tests.support.flipped_engine run CONFIG --data-dir DIR

`FlippedEngine` starts it in place of the program itself; `flip` sends the signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import matchengine.__main__ as program
from matchengine.main import _Worker
from tests.support.processes import EngineProcess

ROOT = Path(__file__).parents[2]
FLIP = signal.SIGRTMIN
USER, ASSET, BIT = 3, "BTC", 30


class FlippedEngine(EngineProcess):
    """An engine process whose memory goes wrong on demand."""

    def __enter__(self) -> FlippedEngine:
        super().__enter__()
        return self

    def launch(self) -> None:
        """As the plain engine, with this module in the place of the program."""
        start = subprocess.Popen

        def start_instead(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            assert command[1:3] == ["-m", "matchengine"], command
            module = ["-m", "tests.support.flipped_engine"]
            return start([command[0], *module, *command[3:]], **{**options, "cwd": ROOT})

        with mock.patch.object(subprocess, "Popen", start_instead):
            super().launch()

    def flip(self) -> None:
        os.kill(self.worker_pid, FLIP)


def main() -> int:
    serve = _Worker.serve

    def serve_and_listen(worker: _Worker) -> None:
        def flip() -> None:
            worker.engine.assets[ASSET].available[USER] ^= 1 << BIT

        worker.loop.add_signal_handler(FLIP, flip)
        serve(worker)

    with mock.patch.object(_Worker, "serve", serve_and_listen):
        return program.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
