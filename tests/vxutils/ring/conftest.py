"""A ring name that nobody else uses, free again after the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vxutils.ring.segment import SHM_DIRECTORY, ring_name


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    name = ring_name(os.urandom(16), tmp_path, "test")
    yield name
    (SHM_DIRECTORY / name[1:]).unlink(missing_ok=True)
