"""A fresh event loop per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vxnet.loop import EventLoop, new_event_loop


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()
