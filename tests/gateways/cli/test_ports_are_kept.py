"""Port 0 in the settings of a process under `vx up` is a free port, and the same one at each start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateways.cli.effective import effective_settings
from gateways.cli.kept_ports import PORTS, KeptPorts
from gateways.cli.programs import ACCESSHTTP, ENGINE
from tests.support.configs import toml_config
from vxnet.address import parse_address

GATEWAY = """
[[listener]]
bind = ["tcp@127.0.0.1:0", "stream@x.sock"]
[[listener]]
bind = ["tcp@127.0.0.1:0", "tcp@127.0.0.1:8085"]
[matchengine]
address = ["tcp@127.0.0.1:0"]
"""


def tables(path: Path, program: Any, offset: int = 0) -> list[dict[str, Any]]:
    """Of two starts."""
    kept = KeptPorts()
    return [
        effective_settings(program, path, offset, path.parent / "log", ports=kept).table for _ in range(2)
    ]


def test_each_address_has_a_port_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(toml_config())
    first, second = tables(path, ENGINE)
    assert first == second
    addresses = [*first["svr"]["bind"], first["cli"]["address"], first["monitor"]["address"]]
    ports = [parse_address(text).port for text in addresses]
    assert len(set(ports)) == len(ports) == 4 and all(port in PORTS for port in ports)


def test_only_where_a_process_listens_and_only_for_port_0(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(GATEWAY)
    first, second = tables(path, ACCESSHTTP, 10)
    assert first == second
    (one, unix), (other, given) = (listener["bind"] for listener in first["listener"])
    assert one != other and {parse_address(text).port in PORTS for text in (one, other)} == {True}
    assert (unix, given) == ("stream@x.sock", "tcp@127.0.0.1:8095")
    assert first["matchengine"]["address"] == ["tcp@127.0.0.1:0"]  # refused, in the gateway's words
