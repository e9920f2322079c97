"""The real marketprice, which writes into Redis at once and not every ten seconds.

    python -m tests.processes.hasty_marketprice run CONFIG --data-dir DIR

`HastyMarketprice` starts it in place of the program itself, so that outages of a second are noticed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import marketprice.__main__ as program
from marketprice import ingest, redis_persistence
from tests.marketprice.running import MarketpriceProcess

ROOT = Path(__file__).parents[2]
SAVE_S, RETRY_S = 0.1, 0.2


class HastyMarketprice(MarketpriceProcess):
    """As the plain one, with this module in the place of the program."""

    def launch(self) -> None:
        start = subprocess.Popen

        def start_instead(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            assert command[1:3] == ["-m", "marketprice"], command
            return start([command[0], "-m", __name__, *command[3:]], **{**options, "cwd": ROOT})

        with mock.patch.object(subprocess, "Popen", start_instead):
            super().launch()


def main() -> int:
    with (
        mock.patch.object(ingest, "SAVE_S", SAVE_S),
        mock.patch.object(redis_persistence, "FLUSH_S", SAVE_S),
        mock.patch.object(redis_persistence, "RETRY_S", RETRY_S),
    ):
        return program.main()


if __name__ == "__main__":
    sys.exit(main())
