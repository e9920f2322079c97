"""How many connections each address has: a bound for one client that opens very many.

Counted in each worker. Addresses are what the handshake believes them to be; an IPv6 client is counted by
its /64, which is all his. Clients on a unix socket have no address and no bound. Those behind a proxy which
is not trusted to tell theirs share its address.
"""

from __future__ import annotations

from gateways.common.identity import address_key


class Peers:
    """Counts up to `connections_max` connections of one address; 0 = no bound. `refused` were too many."""

    def __init__(self, connections_max: int) -> None:
        self.refused = 0
        self._max = connections_max
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, address: str) -> bool:
        """A connection came; whether it may stay. It counts until `leave`, in any case."""
        key = address_key(address)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if not self._max or not key or count <= self._max:
            return True
        self.refused += 1
        return False

    def leave(self, address: str) -> None:
        """A connection that entered is gone."""
        key = address_key(address)
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
        else:
            del self._counts[key]
