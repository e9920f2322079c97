"""Who a client is: `server.auth` and `server.sign`, by our own accounts or by an external service.

    token, or access id and signature ---> Authenticator ---> done(Identity | GatewayError)
                                               |
                                               +-- accounts (`account_authenticator`): our own tokens and keys
                                               +-- service (`service_authenticator`): an external one, by HTTP

Exactly one of the two is in use, as the settings say. Nothing here or below ever logs a token, a signature or
a secret.

Source: protocol.md 9.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateways.common.account_authenticator import AccountAuthenticator
from gateways.common.accounts import accounts_path
from gateways.common.identity import Done, Identity
from gateways.common.service_authenticator import ServiceAuthenticator
from gateways.common.settings import AuthenticationSettings
from vxnet.clock import SystemClock

__all__ = ["Authenticator", "Done", "Identity", "make_authenticator"]


class Authenticator(Protocol):
    """One per worker. `done` is called once per request, on the loop, perhaps before the call returns."""

    def start(self) -> None:
        """Begin to work; called once, in the process that serves, before the first request."""
        ...

    def stop(self) -> None:
        """End; requests under way are answered with error 2."""
        ...

    def auth(self, token: str, source: str, done: Done, *, client: str = "") -> None:
        """`server.auth`. `client` is the client's address without port, for the limit of wrong attempts
        (empty: not limited)."""
        ...

    def sign(self, access_id: str, authorisation: str, tonce: int, done: Done, *, client: str = "") -> None:
        """`server.sign`."""
        ...

    def is_valid(self, identity: Identity) -> bool:
        """False once it was revoked or has expired. Cheap: no I/O."""
        ...


def make_authenticator(
    loop: asyncio.AbstractEventLoop,
    settings: AuthenticationSettings,
    data_directory: Path,
    ended: Callable[[], None],
) -> Authenticator:
    """The authenticator that the settings name; to be made in the process that serves, after its fork.

    `ended` is called on the loop when identities may have ended (revoked, expired): whoever is bound to one
    that is no longer `is_valid` should be unbound.
    """
    if settings.mode == "service":
        return ServiceAuthenticator(loop, settings)
    return AccountAuthenticator(loop, accounts_path(data_directory), SystemClock(), ended)
