"""For all tests: enough open files for thousands of connections, the real servers, no rings left behind.

Servers that are not installed are named at the end of the run, in capital letters: what did not run was not
tested.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

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


@pytest.fixture(scope="session", autouse=True)
def _no_rings_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    remove_rings(tmp_path_factory.getbasetemp())
