"""Free ports for addresses with port 0, which stay the same however often the process behind them is started.

Left to the kernel, port 0 is another one after each start, and whoever was told the first one never finds
the second. Chosen below the ports which the kernel gives to clients, so that none of them takes it while the
process is away.
"""

from __future__ import annotations

import random
import socket
from typing import Any, Final

import msgspec

from vxnet.address import Address, parse_address
from vxnet.errors import AddressError

PORTS: Final = range(10_000, 32_000)
TRIES_MAX: Final = 100


class KeptPorts:
    """The ports of one settings file, in the order in which its addresses are met."""

    def __init__(self) -> None:
        self._ports: list[int] = []
        self._met = 0

    def begin(self) -> None:
        """The file is gone through again, from its beginning."""
        self._met = 0

    def fill(self, given: Any) -> Any:
        """An address, or a list of them, with a port in the place of 0; anything else unchanged."""
        if isinstance(given, list):
            return [self.fill(item) for item in given]
        try:
            address = parse_address(given)
        except (AddressError, TypeError, AttributeError):
            return given  # the process refuses it in its own words
        if address.is_unix or address.port != 0:
            return given
        self._met += 1
        if self._met > len(self._ports):
            self._ports.append(_free_port(address, self._ports))
        return str(msgspec.structs.replace(address, port=self._ports[self._met - 1]))


def _free_port(address: Address, taken: list[int]) -> int:
    """One that nobody uses now; 0, the kernel's choice, if none is found."""
    chosen = random.SystemRandom()
    for _ in range(TRIES_MAX):
        port = chosen.choice(PORTS)
        if port in taken:
            continue
        with socket.socket(address.family, address.socktype) as probe:
            try:
                probe.bind(msgspec.structs.replace(address, port=port).sockaddr())
            except OSError:
                continue
            return port
    return 0
