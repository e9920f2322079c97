"""Clients of a crowd: who watches a market, and who follows his own orders and balances.

Both do what docs/websocket.md tells any client to do, and assert what it promises. The book that a stream of
depth pushes leads to is made once for all who have seen the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.gateways.accessws.pushing import DepthReader
from tests.processes.crowd import Crowd, Member, decoded


class Watcher(Member):
    """Watches depth and deals of a market. Deals are counted by their ids: none twice, none left out."""

    def __init__(self, crowd: Crowd, market: str, limit: int, interval: str) -> None:
        super().__init__(
            crowd, [("depth.subscribe", (market, limit, interval)), ("deals.subscribe", (market,))]
        )
        self.view = (limit, interval)
        self.newest_deal = 0
        self.gaps = 0
        self._first = Book(DepthReader(limit))
        self.book = self._first

    def reset(self) -> None:
        self.newest_deal = 0
        self.book = self._first

    def pushed(self, payload: bytes, push: Any) -> None:
        if push["method"] == "depth.update":
            self.book = self.book.after(payload)
            return
        assert push["method"] == "deals.update", push
        ids = [deal["id"] for deal in push["params"][1]]
        if not ids:
            return
        assert ids == list(range(ids[0], ids[0] - len(ids), -1)), ids
        if push.get("gap"):
            self.gaps += 1
        elif self.newest_deal:
            assert ids[-1] == self.newest_deal + 1, (ids, self.newest_deal)
        self.newest_deal = ids[0]


class Book:
    """What a stream of depth pushes has led to; each is made once, however many clients come to it."""

    def __init__(self, reader: DepthReader) -> None:
        self._reader = reader
        self._next: dict[bytes, Book] = {}

    def after(self, payload: bytes) -> Book:
        found = self._next.get(payload)
        if found is None:
            reader = DepthReader(self._reader.limit)
            reader.sides = {name: dict(side) for name, side in self._reader.sides.items()}
            reader.apply(decoded(payload)["params"])
            found = self._next[payload] = Book(reader)
        return found

    @property
    def shown(self) -> dict[str, list[list[Decimal]]]:
        return self._reader.shown()


class Session:
    """What one connection of a user was told. `joined`: sequence of the snapshot, None before it came."""

    def __init__(self) -> None:
        self.joined: int | None = None
        self.open_orders: dict[int, Decimal] = {}
        self.events: list[tuple[int, int, int, Decimal]] = []
        """Sequence, event, order and what is left of it."""
        self.balances: dict[str, Any] = {}
        self.balances_joined = 0
        """Sequence of the snapshot of the balances."""
        self.status: list[Any] = []

    @property
    def joined_events(self) -> list[tuple[int, int, int]]:
        """Sequence, event and order of each push that is not in the snapshot already."""
        assert self.joined is not None
        return [event[:3] for event in list(self.events) if event[0] > self.joined]

    @property
    def open_now(self) -> dict[int, Decimal]:
        """Open orders with what is left of each: the snapshot and what came since."""
        assert self.joined is not None
        found = dict(self.open_orders)
        for sequence, event, order, left in list(self.events):
            if sequence > self.joined:
                found[order] = left
                if event == 3:
                    del found[order]
        return found


class Follower(Member):
    """A user who joins the snapshot of his orders and balances with the stream of their events."""

    def __init__(self, crowd: Crowd, market: str, assets: Sequence[str], user: int, token: str) -> None:
        super().__init__(
            crowd,
            [
                ("server.auth", (token, "crowd")),
                ("order.subscribe", (market,)),
                ("asset.subscribe", assets),
                ("order.query", (market, 0, 100)),
                ("asset.query", assets),
            ],
        )
        self.user = user
        self.sessions: list[Session] = []

    @property
    def session(self) -> Session:
        """The one that goes on."""
        return self.sessions[-1]

    def reset(self) -> None:
        self.sessions.append(Session())

    def replied(self, method: str, reply: Any) -> None:
        session = self.session
        if method == "order.query":
            records = reply["result"]["records"]
            assert all(order["user"] == self.user for order in records), reply
            session.open_orders = {order["id"]: Decimal(order["left"]) for order in records}
            session.joined = reply["sequence"]
        elif method == "asset.query":
            session.balances |= reply["result"]
            session.balances_joined = reply["sequence"]

    def pushed(self, payload: bytes, push: Any) -> None:
        session, params = self.session, push["params"]
        if push["method"] == "order.update":
            event, order = params
            assert order["user"] == self.user, order
            session.events.append((push["sequence"], event, order["id"], Decimal(order["left"])))
        elif push["method"] == "asset.update":
            if push["sequence"] > session.balances_joined:
                session.balances |= params[0]
        else:
            assert push["method"] == "system.status", push
            session.status.append(params[0])
