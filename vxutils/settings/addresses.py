"""Whether the addresses in a settings file can be what they are for; nothing is opened or looked up."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.log import LogSettings
from vxutils.settings.sections import AlertSettings, ServerSettings


def server_problems(path: str, server: ServerSettings) -> list[str]:
    """Problems of the `bind` list of the server section at `path`, in words."""
    problems: list[str] = []
    seen: set[Address] = set()
    for text in server.bind:
        try:
            address = parse_address(text)
        except AddressError as error:
            problems.append(f"{path}.bind: {error}")
            continue
        if address in seen and address.port != 0:  # port 0 is a new port each time
            problems.append(f"{path}.bind: {text} is given twice")
        seen.add(address)
    return problems


def address_problems(path: str, text: str | None, kinds: Collection[str]) -> list[str]:
    """Problems of one optional address that must be of one of `kinds`."""
    if text is None:
        return []
    try:
        kind = parse_address(text).kind
    except AddressError as error:
        return [f"{path}: {error}"]
    if kind not in kinds:
        return [f"{path}: {text} must be an address of kind {' or '.join(kinds)}"]
    return []


def remote_problems(path: str, text: str | None) -> list[str]:
    """Problems of an optional "ip:port" that datagrams are sent to (alert, remote log).

    Source: protocol.md 1.6.
    """
    if text is None:
        return []
    try:
        address = parse_address(f"udp@{text}")
    except AddressError as error:
        return [f'{path}: {text!r} is not "ip:port" ({error})']
    return [] if address.port else [f"{path}: {text!r} has port 0, to which nothing can be sent"]


def outgoing_problems(alert: AlertSettings, log: LogSettings, names: Mapping[str, str]) -> list[str]:
    """Problems of where alerts and log lines are sent; `names`: paths which the file knows otherwise."""
    problems = remote_problems(names.get("alert.address", "alert.address"), alert.address)
    if ":" in log.path:
        problems += remote_problems("log.path", log.path)
    return problems


def loopback_problems(path: str, text: str | None) -> list[str]:
    """Problems of one optional address of streams that only this machine may reach."""
    problems = address_problems(path, text, ("tcp", "stream"))
    if not problems and not is_local(text):
        problems = [f"{path}: {text} can be reached from other machines; use a loopback address"]
    return problems


def is_local(text: str | None) -> bool:
    """Whether only this machine can reach the address; unix sockets and no address at all are local.

    Raises: AddressError.
    """
    if text is None:
        return True
    address = parse_address(text)
    return address.kind not in ("tcp", "udp") or ipaddress.ip_address(address.host).is_loopback
