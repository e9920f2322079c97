"""A script for a mount namespace of its own: an exchange with almost no shared memory serves.

unshare --mount python -m tests.processes.tiny_shared_memory DIRECTORY
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.processes.snapshot_exchange import MARKET, QUERIES, Exchange, done, limit, sources
from tests.support.processes import wait_until
from vxutils.ring.segment import SHM_DIRECTORY

SIZE = "100k"  # not even one book


def main(directory: Path) -> None:
    """Mounts and checks; assertions say what is wrong."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(SHM_DIRECTORY)], check=True)
    with ExitStack() as held:
        exchange = Exchange(directory, held)
        gateway = exchange.http()
        client = held.enter_context(gateway.connect())
        exchange.fund(1, 2)
        for user, side in ((1, 1), (2, 2)):
            done(client, "order.put_limit", *limit(user, side, "1", "8000"))
        wait_until(lambda: exchange.ask("market.last", MARKET)["result"] == "8000", "the deal")
        for method, *params in QUERIES:
            assert done(client, method, *params)["result"] == exchange.ask(method, *params)["result"]
        wait_until(lambda: sources(gateway).get("order.depth") == "rpc", "the report")
        assert len([line for line in exchange.engine.stderr.splitlines() if "[fatal]" in line]) == 1
        assert not [ring for ring in exchange.rings() if "book." in ring.name]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
