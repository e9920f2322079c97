"""`vx backup`, `vx restore`, `vx at` become the engine's subcommands, which know the same words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateways.cli import at, backup, restore
from gateways.cli.main import main
from gateways.cli.programs import ENGINE, Program
from tests.gateways.cli.running import vx
from vxutils.exits import ExitCode


class Became(Exception):
    """Instead of becoming a program: its words."""


CASES = [
    ("backup to", "backup to --data-dir vx-data"),
    (
        "backup to --data-dir d --journal-dir j --config a.toml --config b.toml --json",
        "backup to --data-dir d --journal-dir j --config a.toml --config b.toml --json",
    ),
    ("restore from --data-dir new", "restore from --data-dir new"),
    (
        "restore from --data-dir new --replaces old --replaces-journal j --jump 5 --json",
        "restore from --data-dir new --replaces old --replaces-journal j --jump 5 --json",
    ),
    ("at 17", "at 17 --data-dir vx-data"),
    (
        "at @17 --data-dir d --journal-dir j --market M --user 3 --json",
        "at @17 --data-dir d --journal-dir j --market M --user 3 --json",
    ),
]


@pytest.mark.parametrize(("given", "words"), CASES)
def test_words(monkeypatch: pytest.MonkeyPatch, given: str, words: str) -> None:
    def become(program: Program, became: Sequence[str | Path]) -> None:
        assert program is ENGINE
        raise Became(" ".join(map(str, became)))

    for module in (at, backup, restore):
        monkeypatch.setattr(module, "become", become)
    with pytest.raises(Became) as raised:
        main(given.split())
    assert str(raised.value) == words


def test_the_engine_knows_them(tmp_path: Path) -> None:
    """Mistakes are said in one sentence, with the code for it."""
    vx("init", "--data-dir", "data", cwd=tmp_path)
    for words, code, sentence in (
        ("backup to --data-dir data", ExitCode.CONFIG, "there is nothing to back up"),
        ("at noon --data-dir data", ExitCode.USAGE, "is neither a sequence"),
        ("at 1 --data-dir data", ExitCode.CONFIG, "holds no record yet"),
        ("restore data --data-dir new", ExitCode.JOURNAL_DAMAGED, "is not a whole backup"),
        ("restore data --data-dir new --jump -1", ExitCode.USAGE, "is not a number from 0"),
    ):
        done = vx(*words.split(), cwd=tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done
        assert sentence in done.stderr
