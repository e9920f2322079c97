"""Every journal format that was ever released still replays, to the very state it led to then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from matchengine import offline, system
from matchengine.core.commands import KIND_OF, JumpIds
from matchengine.journal.format import LOGIC_VERSION
from matchengine.journal.reader import scan
from matchengine.journal.record import decode_records
from vxutils.disk import Disk

JOURNALS = Path(__file__).parent / "released_journals"
RELEASED = sorted(path.name for path in JOURNALS.iterdir() if path.is_dir() and path.name[0] == "v")


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_journal_leads_to_the_same_state(name: str, tmp_path: Path) -> None:
    expected = json.loads((JOURNALS / name / "expected.json").read_text())
    directory = tmp_path / "data"
    shutil.copytree(JOURNALS / name, directory)
    system.adopt(Disk(), directory)  # a checkout is a copy
    found = msgspec.to_builtins(offline.audit(Disk(), directory, directory / "journal"))
    assert found == expected
    assert found["broken_laws"] == []


def test_the_current_format_is_among_them_with_every_kind_of_command(tmp_path: Path) -> None:
    """But the jump of a restore, which has its own tests."""
    kinds = set()
    for name in RELEASED:
        if not name.startswith(f"v{LOGIC_VERSION}"):
            continue
        shutil.copytree(JOURNALS / name, tmp_path / name)
        identity = system.adopt(Disk(), tmp_path / name)
        kinds |= {
            type(record.command)
            for frame in scan(Disk(), tmp_path / name / "journal", identity.id_bytes)
            for record in decode_records(frame.payload)
        }
    assert kinds == set(KIND_OF) - {JumpIds}
