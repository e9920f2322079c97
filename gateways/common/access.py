"""Who may come in, and what he may ask: one listener's rules, decided without I/O.

    accepted connection -> admits_peer(ip)           in the listener, before a worker sees it
    request             -> allows_origin(Origin), refusal(Authorization)     in the worker
    method              -> `offered`                 in the worker

Tokens are kept as digests and compared in constant time; neither they nor what a client sent instead is
ever logged. Networks are those of the peer, whoever a proxy says it speaks for.

Source: RFC 6750 (bearer tokens), RFC 6454 (Origin).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateways.common.errors import TOKEN_REQUIRED, GatewayError
from gateways.common.methods import offered
from gateways.common.settings import ListenerSettings, TokenSettings, token_text_problems
from vxutils.settings import SettingsError

TOKEN_FILE_BYTES_MAX: Final = 4_096

_SCHEME: Final = "bearer"


class Networks:
    """The networks whose machines may connect; none given: everybody."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in texts)

    def admits(self, host: str) -> bool:
        """Whether a connection from this address (literal; empty for a unix socket) may be served."""
        if not self._networks or not host:
            return True
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


class Access:
    """The rules of one listener. Immutable; each worker and the listener have their own copy.

    Raises: SettingsError when a token file can not be used.
    """

    def __init__(self, settings: ListenerSettings) -> None:
        self.offered = offered(settings.methods)
        self._origins = frozenset(settings.origins)
        self.admits_peer = Networks(settings.allow_cidrs).admits
        self._digests = _digests(settings.token)

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of this origin may call."""
        return origin in self._origins

    def refusal(self, authorization: str | None) -> GatewayError | None:
        """Why a request with this `Authorization` (None: it has none) may not be served; None if it may."""
        return TOKEN_REQUIRED if self._digests and not self._has_token(authorization) else None

    def _has_token(self, authorization: str | None) -> bool:
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != _SCHEME:
            return False
        given = _digest(token.strip())
        found = False
        for digest in self._digests:  # all of them, so that the time tells nothing
            found |= hmac.compare_digest(digest, given)
        return found


def _digests(tokens: Sequence[TokenSettings]) -> tuple[bytes, ...]:
    problems: list[str] = []
    digests = []
    for token in tokens:
        text = token.token
        if text is None:
            assert token.file is not None, "settings were checked"
            try:
                with Path(token.file).open("rb") as file:
                    text = file.read(TOKEN_FILE_BYTES_MAX).decode("ascii", "replace").strip()
            except OSError as error:
                problems.append(f"token {token.name}: {token.file} cannot be read: {error.strerror}")
                continue
            problems += token_text_problems(f"token {token.name} in {token.file}", text)
        digests.append(_digest(text))
    if problems:
        raise SettingsError(problems)
    return tuple(digests)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
