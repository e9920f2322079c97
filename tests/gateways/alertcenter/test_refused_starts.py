"""Starts that are refused, with a sentence and the exit code for it."""

from __future__ import annotations

from pathlib import Path

from tests.gateways.alertcenter.samples import C_CONFIG, M, service, stored
from tests.gateways.readhistory.running import Service, wait_until


def test_c_configuration_needs_redis_or_embedded(tmp_path: Path) -> None:
    without = {name: section for name, section in C_CONFIG.items() if name != "redis"}
    center = Service("alertcenter", tmp_path, without)
    center.launch()
    assert center.wait() == 78
    assert "redis: missing, but required" in center.log
    with Service("alertcenter", tmp_path, C_CONFIG, ["--embedded"]) as center:
        assert center.monitor is None
        with center.connect() as sock:
            sock.sendall(M + b"box: [fatal] x\n")
            wait_until(lambda: len(stored(center)) == 1, "the alert")


def test_only_one_works_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = service(tmp_path / "other")
    with service(tmp_path) as center:
        other.data = center.data
        other.launch()
        assert other.wait() == 75
        assert "in use by process" in other.log


def test_a_secret_that_is_not_there_refuses_the_start(tmp_path: Path) -> None:
    center = service(tmp_path, "\n[webhook]\nurl = 'http://x/'\ntoken_file = '/no/such/file'\n")
    center.launch()
    assert center.wait() == 78
    assert "webhook.token_file: /no/such/file" in center.log
