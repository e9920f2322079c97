"""Demo users: some of every asset for the first users of an exchange that `vx up` has made itself.

Idempotent by the business id of the updates, so that it may be repeated after any interruption.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from vxnet.address import Address
from vxutils.protocol import codes, commands
from vxutils.rpc.blocking import BlockingClient
from vxutils.rpc.packet import PacketError

USERS: Final = (1, 2, 3)
AMOUNT: Final = "1000000"
BUSINESS: Final = "demo"
BUSINESS_ID: Final = 1
CALL_TIMEOUT_S: Final = 5.0


class CreditFailed(Exception):
    """Some user did not get what he should; the text is a sentence."""


def credit(address: Address) -> str:
    """Gives every demo user AMOUNT of every asset; what they have now, in one sentence.

    Raises: CreditFailed.
    """
    try:
        with BlockingClient(address, CALL_TIMEOUT_S) as client:
            assets = [asset["name"] for asset in client.call(commands.ASSET_LIST, [])["result"]]
            for user in USERS:
                for asset in assets:
                    params = [user, asset, BUSINESS, BUSINESS_ID, AMOUNT, {}]
                    _check(client.call(commands.BALANCE_UPDATE, params))
    except (OSError, PacketError, msgspec.DecodeError) as error:
        raise CreditFailed(f"the demo users could not be credited: {error}") from error
    named = f"{', '.join(map(str, USERS[:-1]))} and {USERS[-1]}"
    return f"demo users {named} were given {AMOUNT} each of {', '.join(assets)}"


def _check(reply: dict[str, Any]) -> None:
    error = reply["error"]
    if error is not None and error["code"] != codes.UPDATE_REPEATED.code:
        raise CreditFailed(f"the demo users could not be credited: {error['message']}")
