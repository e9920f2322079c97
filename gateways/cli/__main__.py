"""`python -m gateways.cli` is the `vx` command, for where its script is not on the path."""

from __future__ import annotations

import sys

from gateways.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
