"""One pair of databases for all tests of this package: making 500 tables takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.mysql.databases import Pair, fresh


@pytest.fixture(scope="package")
def made_pair(mariadb: MariaDbAddress) -> Pair:
    return Pair(mariadb)


@pytest.fixture
def pair(made_pair: Pair) -> Iterator[Pair]:
    """Empty before and after."""
    yield from fresh(made_pair)
