"""The 30 methods of the websocket, as data: what the gateway answers itself, forwards, or subscribes to.

    server.*                      answered here
    *.query, *.history            forwarded: `FORWARDS` says to which command, after which checks
    *.subscribe, *.unsubscribe    what `subscriptions` serves

There are no trading methods on the websocket.

Source: protocol.md 9.4.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from vxutils.protocol import commands
from vxutils.protocol.commands import BY_ID, Command

PING: Final = "server.ping"
TIME: Final = "server.time"
AUTH: Final = "server.auth"
SIGN: Final = "server.sign"

SERVER_METHODS: Final = (PING, TIME, AUTH, SIGN)

SUBSCRIPTION_KINDS: Final = ("kline", "depth", "price", "state", "today", "deals", "order", "asset")

SUBSCRIPTION_METHODS: Final = tuple(
    f"{kind}.{what}" for kind in SUBSCRIPTION_KINDS for what in ("subscribe", "unsubscribe")
)


class Check(enum.Enum):
    """What must hold before a request is forwarded."""

    CONNECTED = "connected"
    """The backend is connected, else error 2."""
    AUTHENTICATED = "authenticated"
    """The connection speaks for a user, else error 6."""


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """A method that a backend answers.

    `checks` in their order, before the parameters are looked at. `parameters`: the types of exactly these, or
    how many of any type; None: whatever the backend takes. `is_own`: about the user of the connection, whose
    id goes in front of the parameters. `is_cached`: the same for everybody, so a result may be repeated.
    """

    command: Command
    checks: tuple[Check, ...] = (Check.CONNECTED,)
    names: str = ""
    parameters: tuple[type, ...] | None = None
    is_own: bool = False
    is_cached: bool = False


def _market_data(command: int) -> Forward:
    return Forward(command=BY_ID[command], is_cached=True)


FORWARDS: Final[Mapping[str, Forward]] = MappingProxyType(
    {
        "kline.query": _market_data(commands.MARKET_KLINE),
        "depth.query": _market_data(commands.ORDER_DEPTH),
        "price.query": _market_data(commands.MARKET_LAST),
        "state.query": _market_data(commands.MARKET_STATUS),
        "today.query": _market_data(commands.MARKET_STATUS_TODAY),
        "deals.query": _market_data(commands.MARKET_DEALS),
        "order.query": Forward(
            command=BY_ID[commands.ORDER_PENDING],
            checks=(Check.CONNECTED, Check.AUTHENTICATED),
            names="market, offset, limit",
            parameters=(str, int, int),
            is_own=True,
        ),
        "order.history": Forward(
            command=BY_ID[commands.ORDER_FINISHED],
            checks=(Check.CONNECTED, Check.AUTHENTICATED),
            names="market, start, end, offset, limit, side",
            parameters=(object,) * 6,
            is_own=True,
        ),
        "asset.query": Forward(
            command=BY_ID[commands.BALANCE_QUERY],
            checks=(Check.AUTHENTICATED, Check.CONNECTED),
            is_own=True,
        ),
        "asset.history": Forward(
            command=BY_ID[commands.BALANCE_HISTORY],
            checks=(Check.CONNECTED, Check.AUTHENTICATED),
            names="asset, business, start, end, offset, limit",
            parameters=(object,) * 6,
            is_own=True,
        ),
    }
)

METHODS: Final = frozenset({*SERVER_METHODS, *FORWARDS, *SUBSCRIPTION_METHODS})
"""All that a client can name."""
