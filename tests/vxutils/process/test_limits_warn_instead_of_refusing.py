"""RLIMIT_NOFILE and RLIMIT_CORE: raised when too low, left when high enough, a sentence when impossible."""

from __future__ import annotations

import pytest

from tests.vxutils.process import script

RAISE = """
    import resource, sys
    from vxutils import process
    soft, hard, wanted = map(int, sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if sys.argv[4] == "plain user":
        real = resource.setrlimit
        def setrlimit(kind, limits):
            if limits[1] > hard:
                raise ValueError("not allowed to raise maximum limit")
            real(kind, limits)
        resource.setrlimit = setrlimit
    warnings = process.raise_limits(wanted, 0)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], *warnings)
"""
TOO_LOW = "process.file_limit: wanted 300, this system allows 200; going on with that"


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "printed"),
    [
        (100, 200, 0, "100"),
        (100, 200, 50, "100"),
        (100, 200, 100, "100"),
        (100, 200, 150, "150"),
        (100, 200, 300, f"200 {TOO_LOW}"),
        (200, 200, 300, f"200 {TOO_LOW}"),
    ],
)
def test_as_a_plain_user(soft: int, hard: int, wanted: int, printed: str) -> None:
    assert script.run(RAISE, soft, hard, wanted, "plain user") == (0, printed + "\n")


def test_core_files_may_be_allowed() -> None:
    source = """
        import resource
        from vxutils.process import raise_limits
        resource.setrlimit(resource.RLIMIT_CORE, (0, 4096))
        print(raise_limits(0, 4096), resource.getrlimit(resource.RLIMIT_CORE))
    """
    assert script.run(source) == (0, "[] (4096, 4096)\n")
