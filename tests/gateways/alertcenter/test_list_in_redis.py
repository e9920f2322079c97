"""The list `alert:message` in a real Redis: filled as by the C system, emptied in place of its script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateways.alertcenter import shared_list
from gateways.alertcenter.shared_list import KEY, PushEnd
from tests.gateways.alertcenter.samples import C_CONFIG, M, service, stored
from tests.gateways.readhistory.running import Service, wait_until
from tests.marketprice.redis_states import RedisPlace
from tests.servers.process import free_ports
from tests.servers.redis import RedisAddress
from vxnet.loop import new_event_loop

LINE = "box: [fatal]me_main.c:12(main): ünfair \\o/"


@pytest.fixture
def place(redis_sentinel: RedisAddress) -> RedisPlace:
    return RedisPlace(redis_sentinel, 9)


def lines(place: RedisPlace) -> list[str]:
    found: list[str] = place.ask("LRANGE", KEY, 0, -1)
    return found


def test_alerts_are_appended_as_the_c_system_does(tmp_path: Path, place: RedisPlace) -> None:
    redis = {"name": place.settings.name, "addr": list(place.settings.addr), "db": place.number}
    place.ask("RPUSH", KEY, "before")
    with Service("alertcenter", tmp_path, C_CONFIG | {"redis": redis}) as center, center.connect() as sock:
        sock.sendall(M + LINE.encode() + b"\r\n" + (M + b"box: [fatal] again\n") * 2)
        wait_until(lambda: len(lines(place)) == 4, "the lines")
        assert lines(place) == ["before", LINE, "box: [fatal] again", "box: [fatal] again"]
        assert len(stored(center)) == 2  # `vx alerts` shows them too
        sock.sendall(M + b"box: [fatal] last words\n")
        wait_until(lambda: len(stored(center)) == 3, "the last one")
        center.terminate()
    assert lines(place)[-1] == "box: [fatal] last words"


def test_lines_of_the_list_are_told_and_removed(tmp_path: Path, place: RedisPlace) -> None:
    sent = tmp_path / "sent"
    command = json.dumps(["/bin/sh", "-c", f"cat >> {sent}"])
    config = place.toml + f'end = "take"\n[command]\narguments = {command}\n'
    count = shared_list.LINES_AT_ONCE + 7
    place.ask("RPUSH", KEY, LINE, *(f"box: [fatal] number {number}" for number in range(count - 1)))
    with service(tmp_path, config) as center:
        wait_until(lambda: not lines(place), "an empty list", 15)
        assert sum(stored(center).values()) == count
        assert stored(center)["box", LINE.removeprefix("box: ")] == 1
        wait_until(lambda: sent.exists() and "ünfair" in sent.read_text(), "the outlet")
        place.ask("RPUSH", KEY, "one more", b"\xff")
        wait_until(lambda: sum(stored(center).values()) == count + 2, "those as well")
        assert stored(center)[KEY, "one more"] == 1
        center.terminate()
    assert lines(place) == []


def test_lines_wait_while_redis_is_away(monkeypatch: pytest.MonkeyPatch, place: RedisPlace) -> None:
    monkeypatch.setattr(shared_list, "WAITING_MAX", 600)
    loop = new_event_loop()
    end: Any = PushEnd(loop, place.settings)
    there = end._master._sentinels
    end._master._sentinels = [("127.0.0.1", free_ports(1)[0])]
    for number in range(650):
        end.add(f"line {number}")
    end.start()
    loop.call_later(0.5, loop.stop)
    loop.run_forever()
    assert (end.waiting, end.lost) == (600, 50)
    assert "no sentinel says where it is" in end.trouble
    end._master._sentinels = there

    def look() -> None:
        loop.stop() if not end.waiting else loop.call_later(0.05, look)

    look()
    loop.run_forever()
    end.stop(5.0)
    loop.close()
    assert end.trouble is None
    assert lines(place) == [f"line {number}" for number in range(50, 650)]
