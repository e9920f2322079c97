"""For all tests: enough open files for thousands of connections, the real servers, no rings left behind.

Servers that are not installed are named at the end of the run, in capital letters: what did not run was not
tested.
"""

from __future__ import annotations

import itertools
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.fixtures import HOW, kafka, mariadb, not_here, redis_sentinel
from tests.support.ring_leftovers import remove_rings

__all__ = ["kafka", "mariadb", "redis_sentinel"]

FILES_WANTED = 65_536


def pytest_configure() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        str(report.longrepr[2])
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and HOW in str(report.longrepr[2])
    ]
    if not skipped:
        return
    terminalreporter.section("NOT TESTED", sep="=", red=True, bold=True)
    for name, reason in not_here().items():
        count = sum(f"{name} is not installed" in one for one in skipped)
        terminalreporter.write_line(f"{name}: {count} tests did not run: {reason}", red=True)
    terminalreporter.write_line(HOW, red=True)


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory, _numbers: Iterator[int]) -> Path:
    """In place of pytest's, with a number for a name: the path of a unix socket in it may have 107 bytes."""
    path = tmp_path_factory.getbasetemp() / f"t{next(_numbers)}"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="session", autouse=True)
def _no_rings_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    remove_rings(tmp_path_factory.getbasetemp())
