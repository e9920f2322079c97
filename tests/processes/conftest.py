"""What several files of process tests share."""

from __future__ import annotations

import pytest

from tests.servers.mariadb import MariaDbAddress
from tests.vxutils.store.mysql.databases import Pair


@pytest.fixture(scope="package")
def c_pair(mariadb: MariaDbAddress) -> Pair:
    """The databases of a C system that is migrated; who uses them leaves them empty. Making 500 tables takes
    seconds."""
    return Pair(mariadb)
