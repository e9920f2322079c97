"""Which levels are written, and how TTIN and TTOU change that (protocol.md 10.6)."""

from __future__ import annotations

import logging

import pytest

from vxutils.log import LogSettings, configure, parse_flag
from vxutils.log_line import NOTICE, TRACE, USER1, USER2, VIP, LevelMask

UPS = [
    (0b0000_0000, 0b0000_0001),
    (0b0000_1011, 0b0000_1111),
    (0b1111_1111, 0b1111_1111),
    (0b1_0000_0000, 0b1_0000_0001),
]
DOWNS = [
    (0b0000_0000, 0b0000_0000),
    (0b0000_1011, 0b0000_0011),
    (0b1_0100_0001, 0b1_0000_0001),
    (0b1_0000_0000, 0b1_0000_0000),
]


def new_root() -> logging.Logger:
    root = logging.RootLogger(logging.WARNING)
    root.manager = logging.Manager(root)  # its own, so that a change of level reaches its cache
    return root


@pytest.mark.parametrize(("before", "after"), UPS)
def test_up_sets_the_lowest_clear_bit(before: int, after: int) -> None:
    mask = LevelMask(())
    mask.bits = before
    mask.up()
    assert mask.bits == after


@pytest.mark.parametrize(("before", "after"), DOWNS)
def test_down_clears_the_highest_set_bit(before: int, after: int) -> None:
    mask = LevelMask(())
    mask.bits = before
    mask.down()
    assert mask.bits == after


def test_each_level_is_its_own_switch() -> None:
    mask = LevelMask(("fatal", "notice", "user2"))
    numbers = (VIP, 50, 40, 30, 20, NOTICE, 10, TRACE, USER1, USER2)
    assert [number for number in numbers if mask.passes(number)] == [VIP, 50, NOTICE, USER2]


def test_vip_passes_an_empty_mask() -> None:
    assert LevelMask(()).passes(VIP)


def test_levels_that_are_off_are_stopped_at_the_logger() -> None:
    root = new_root()
    log = configure(LogSettings(flag=("fatal", "error", "info")), root)
    assert (root.isEnabledFor(logging.INFO), root.isEnabledFor(logging.DEBUG)) == (True, False)
    log.level_up()  # warn
    log.level_up()  # notice
    assert root.isEnabledFor(NOTICE)
    log.level_down()
    log.level_down()
    assert not root.isEnabledFor(logging.INFO)
    log.close()


def test_fatal_reaches_the_alerts_even_when_not_written() -> None:
    root = new_root()
    log = configure(LogSettings(flag=()), root)
    assert root.isEnabledFor(logging.CRITICAL)
    log.close()


def test_flag_text_of_the_c_system() -> None:
    assert parse_flag("FATAL, error,,warn\tInfo nonsense fatal") == ("fatal", "error", "warn", "info")
    assert parse_flag("") == ()
