"""`vx migrate rehearse|cutover`: the engine's own subcommands for who comes from the C system."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gateways.cli.programs import ENGINE, become

TEXT: Final = "Come from the C system: try it while that runs, then take the exchange over."
REHEARSE_TEXT: Final = """\
Compare what the databases of a running C exchange hold with what its engine answers, and change nothing.

The state is built as a take-over would build it, then every balance, order and counter is asked from the C
engine, which may go on trading. Exit code 0 if all is equal and a take-over is possible, else 1.
"""
REHEARSE_EXAMPLES: Final = """\
examples:
  vx migrate rehearse /srv/trade/matchengine/config.json
  vx migrate rehearse config.json --engine tcp@10.0.0.7:7316 --console tcp@10.0.0.7:7317
  vx migrate rehearse config.json --no-console --queries-per-s 100
"""
CUTOVER_TEXT: Final = """\
Take the exchange of a C system over into a new data directory: a checklist that checks each step.

Nothing is changed before everything is proven equal, and the C engine can be started again until ours has
run. It may be broken off at any time and run again.
"""
CUTOVER_EXAMPLES: Final = """\
examples:
  vx migrate cutover /srv/trade/matchengine/config.json --data-dir /srv/vx
  vx migrate cutover config.json --data-dir /srv/vx --yes --wait-s 120      for a script that does the steps
"""


def add_rehearse(parser: argparse.ArgumentParser) -> None:
    """The words of `vx migrate rehearse`."""
    _add_common(parser)
    parser.add_argument(
        "--no-console", action="store_true", help="do without the console: counters are not compared"
    )
    parser.add_argument(
        "--rounds", metavar="N", help="how often to ask again for what operations change (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_cutover(parser: argparse.ArgumentParser) -> None:
    """The words of `vx migrate cutover`."""
    _add_common(parser)
    parser.add_argument("--data-dir", type=Path, required=True, metavar="NEW", help="missing or empty")
    parser.add_argument("--yes", action="store_true", help="ask nothing: a script does what is said")
    parser.add_argument("--wait-s", metavar="S", help="how long each step waits (default: 600)")
    parser.add_argument("--still-s", metavar="S", help="how long the counters must stand still (default: 5)")
    parser.add_argument(
        "--history-trimmed",
        action="store_true",
        help="do not look for the newest deal in the history: its rows were removed on purpose",
    )


def rehearse(options: argparse.Namespace) -> int:
    """`vx migrate rehearse`"""
    words = ["migrate-rehearse", options.config, *_common(options), *_given("--rounds", options.rounds)]
    words += ["--no-console"] if options.no_console else []
    become(ENGINE, words + (["--json"] if options.json else []))


def cutover(options: argparse.Namespace) -> int:
    """`vx migrate cutover`"""
    words = ["migrate-cutover", options.config, "--data-dir", options.data_dir, *_common(options)]
    words += [*_given("--wait-s", options.wait_s), *_given("--still-s", options.still_s)]
    words += ["--history-trimmed"] if options.history_trimmed else []
    become(ENGINE, words + (["--yes"] if options.yes else []))


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the config.json of the C engine")
    parser.add_argument(
        "--engine", metavar="ADDRESS", help="where the C engine answers RPC (default: svr.bind of CONFIG)"
    )
    parser.add_argument("--console", metavar="ADDRESS", help="where its console is (default: cli of CONFIG)")
    parser.add_argument(
        "--queries-per-s",
        metavar="N",
        help="how fast the C engine is asked at most (default: 500; 10000 when it has no other clients)",
    )


def _common(options: argparse.Namespace) -> list[str]:
    return [
        *_given("--engine", options.engine),
        *_given("--console", options.console),
        *_given("--queries-per-s", options.queries_per_s),
    ]


def _given(word: str, value: str | None) -> list[str]:
    return [] if value is None else [word, value]
