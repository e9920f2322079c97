"""Settings that the gateways share: backends, listeners with who may use them, and their checks.

Declarations and checks only; `access` acts on a listener's settings, `backends` on a backend's. The C
system's spelling of a backend is in `settings_c`.

Source: protocol.md 10.3, 10.4, 1.9; 12.5 number 74.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateways.common.methods import BY_METHOD, READY_SETS
from vxnet.address import Address, parse_address
from vxnet.errors import AddressError
from vxutils.protocol.commands import Service
from vxutils.settings.sections import (
    BUF_LIMIT_MAX,
    Addresses,
    AddressText,
    PacketSizeBytes,
    SocketBufferBytes,
)

TOKEN_CHARACTERS_MIN = 16
TOKEN_CHARACTERS_MAX = 512

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Words = Annotated[tuple[Annotated[str, Meta(max_length=255)], ...], Meta(max_length=256)]
PathText = Annotated[str, Meta(min_length=1, max_length=4_096)]

OPEN_BIND_FLAG = "--allow-open-bind"


class BackendSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One service behind the gateway; several addresses are alternatives, of one kind; none: not in use.

    `request_size_bytes_max` is the `max_pkg_size` of that service: a larger request is refused here.
    `max_pkg_size` bounds one reply, `buf_limit` * `max_pkg_size` the unsent output. `inflight_max`:
    requests without a reply in each worker; more are refused.
    """

    address: Annotated[tuple[AddressText, ...], Meta(max_length=64)]
    request_size_bytes_max: PacketSizeBytes = 10_240
    max_pkg_size: PacketSizeBytes = 2_000_000
    buf_limit: Annotated[int, Meta(ge=1, le=BUF_LIMIT_MAX)] = 100
    read_mem: SocketBufferBytes = 0
    write_mem: SocketBufferBytes = 0
    reconnect_timeout_s: Annotated[float, Meta(ge=0.05, le=600)] = 1.0
    heartbeat_timeout_s: Annotated[float, Meta(ge=2, le=600)] = 3.0
    inflight_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One bearer token: given as text, or as the only line of a file. `name` is for the operator."""

    name: Name
    token: str | None = None
    file: PathText | None = None

    def __repr__(self) -> str:
        return f"TokenSettings(name={self.name!r})"


class AuthenticationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who proves the identity of clients: `accounts` (ours, in the data directory) or an HTTP `service`.

    `auth_url`, `sign_url`: where the service is asked; one of the two may be missing, its method then is
    error 2. `timeout_s`: for one answer, the wait for a free thread included.

    Source: protocol.md 9.9.
    """

    mode: Literal["accounts", "service"] = "accounts"
    auth_url: Annotated[str, Meta(max_length=2_048)] | None = None
    sign_url: Annotated[str, Meta(max_length=2_048)] | None = None
    timeout_s: Annotated[float, Meta(ge=0.01, le=600)] = 1.0


class ListenerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Some addresses, and who may do what over them.

    With `token`s a request needs one of them; with `allow_cidrs` a peer needs an address in one of them;
    both given, both are needed. `methods`: `internal` (all), `public` (see `methods`) or a list. A request
    with an `Origin` (a browser sends one) is refused unless `origins` lists it. `tls_certificate` (with the
    chain) and `tls_key` are files in PEM; with them TLS is spoken, and nothing else. `trusted_proxies`:
    networks whose word on the address of a client is believed, see `vxutils.http.client_address`.
    """

    bind: Addresses
    methods: Literal["internal", "public"] | Words = "internal"
    allow_cidrs: Words = ()
    origins: Words = ()
    tls_certificate: PathText | None = None
    tls_key: PathText | None = None
    trusted_proxies: Words = ()
    token: tuple[TokenSettings, ...] = ()


def listener_problems(path: str, listener: ListenerSettings, allow_open_bind: bool) -> list[str]:
    """Everything wrong with one listener, in words; tokens are named, never shown."""
    addresses, problems = bind_problems(f"{path}.bind", listener.bind)
    if isinstance(listener.methods, tuple):
        problems += [
            f"{path}.methods: {name!r} is no method" for name in listener.methods if name not in BY_METHOD
        ]
        if not listener.methods:
            ready = " or ".join(f'"{name}"' for name in READY_SETS)
            problems.append(f"{path}.methods: the list is empty; give {ready}, or the names of methods")
    problems += network_problems(f"{path}.allow_cidrs", listener.allow_cidrs)
    problems += network_problems(f"{path}.trusted_proxies", listener.trusted_proxies)
    problems += tls_problems(path, listener.tls_certificate, listener.tls_key)
    for index, token in enumerate(listener.token):
        problems += _token_problems(f"{path}.token[{index}]", token)
    if not (listener.token or listener.allow_cidrs or allow_open_bind):
        problems += [
            f"{path}.bind: {address} can be reached from other machines by anybody; set {path}.token or "
            f"{path}.allow_cidrs, or bind 127.0.0.1"
            for address in addresses
            if not is_loopback(address)
        ]
    return problems


def monitor_problems(path: str, bind: Sequence[str], allow_open_bind: bool) -> list[str]:
    """Everything wrong with the addresses of a monitor, which asks nobody who he is."""
    addresses, problems = bind_problems(path, bind)
    if allow_open_bind:
        return problems
    return problems + [
        f"{path}: {address} can be reached from other machines by anybody; bind 127.0.0.1, or give "
        f"{OPEN_BIND_FLAG} to show health and metrics to everybody"
        for address in addresses
        if not is_loopback(address)
    ]


def place_problems(
    monitor: str | None,
    backends: Mapping[Service, BackendSettings],
    names: Mapping[str, str],
    allow_open_bind: bool,
) -> list[str]:
    """Everything wrong with the addresses of the monitor and of the backends."""
    problems = []
    if monitor is not None:
        path = names.get("monitor.address", "monitor.address")
        problems += monitor_problems(path, [monitor], allow_open_bind)
    for service, backend in backends.items():
        path = f"{service.value}.address"
        problems += backend_problems(names.get(path, path), backend.address)
    return problems


def given_twice(binds: Sequence[Sequence[str]]) -> list[str]:
    """The addresses of a listener that one before it has too. Port 0 is another one each time."""
    problems = []
    seen: set[str] = set()
    for index, bind in enumerate(binds):
        problems += [
            f"listener[{index}].bind: {text} is given twice"
            for text in bind
            if text in seen and not text.endswith(":0")
        ]
        seen.update(bind)
    return problems


def open_addresses(texts: Iterable[str | None]) -> list[str]:
    """Those that other machines can reach; what is no address is none."""
    found = []
    for text in texts:
        try:
            if text is not None and not is_loopback(parse_address(text)):
                found.append(text)
        except AddressError:
            continue
    return found


def backend_problems(path: str, texts: Sequence[str]) -> list[str]:
    """Everything wrong with the addresses of one backend."""
    kinds = set()
    problems = []
    for text in texts:
        try:
            address = parse_address(text)
        except AddressError as error:
            problems.append(f"{path}: {error}")
            continue
        kinds.add(address.kind)
        if not address.is_unix and address.port == 0:
            problems.append(f"{path}: {text} has port 0, to which nothing can connect")
    if len(kinds) > 1:
        problems.append(f"{path}: alternatives must be of one kind, not {' and '.join(sorted(kinds))}")
    return problems


def network_problems(path: str, texts: Sequence[str]) -> list[str]:
    """Everything that is no network in a list of networks."""
    return [
        f"{path}: {text!r} is no network such as 10.0.0.0/8 or fd00::/8"
        for text in texts
        if not _is_network(text)
    ]


def tls_problems(path: str, certificate: str | None, key: str | None) -> list[str]:
    """What is wrong with the names of the two files; whether they can be used is seen at the start."""
    if (certificate is None) == (key is None):
        return []
    missing = "tls_key" if key is None else "tls_certificate"
    return [f"{path}.{missing}: missing, but TLS needs both a certificate and its key"]


def authentication_problems(
    settings: AuthenticationSettings, names: Mapping[str, str], path: str = "authentication"
) -> list[str]:
    """Everything wrong with the section; `names` are those of the file, where they differ (`config.json`)."""
    urls = {"auth_url": settings.auth_url, "sign_url": settings.sign_url}
    problems = []
    for name, url in urls.items():
        at = names.get(f"{path}.{name}", f"{path}.{name}")
        if url is None:
            continue
        if settings.mode == "accounts":
            problems.append(f'{at}: is not used with mode "accounts"; mode = "service" uses it')
        else:
            problems += [f"{at}: {text}" for text in url_problems(url)]
    if settings.mode == "service" and not any(urls.values()):
        problems.append(f'{path}: mode "service" needs auth_url or sign_url')
    return problems


def url_problems(url: str) -> list[str]:
    """What keeps a text from being the URL of a service; a password in it is not repeated."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ["is no valid URL"]
    if parts.username is not None or parts.password is not None:
        return ["a name or password in a URL is not taken"]
    if not (url.isascii() and url.isprintable()) or " " in url:
        return ["a URL is printable ASCII characters without spaces"]
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return [f"{url!r} is no URL such as http://127.0.0.1:8000/auth"]
    return []


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach the address."""
    return address.is_unix or ipaddress.ip_address(address.host).is_loopback


def bind_problems(path: str, texts: Sequence[str]) -> tuple[list[Address], list[str]]:
    """The addresses that can be read, and what is wrong with all of them."""
    addresses: list[Address] = []
    problems: list[str] = []
    for text in texts:
        try:
            address = parse_address(text)
        except AddressError as error:
            problems.append(f"{path}: {error}")
            continue
        if address.kind not in ("tcp", "stream"):
            problems.append(f"{path}: {text} must be an address of kind tcp or stream")
        elif address in addresses and address.port != 0:
            problems.append(f"{path}: {text} is given twice")
        addresses.append(address)
    return addresses, problems


def _token_problems(path: str, token: TokenSettings) -> list[str]:
    if (token.token is None) == (token.file is None):
        return [f"{path}: token {token.name}: give either `token` or `file`"]
    return [] if token.token is None else token_text_problems(f"{path}: token {token.name}", token.token)


def token_text_problems(name: str, text: str) -> list[str]:
    """Whether a secret can be one; it is not repeated in the sentence."""
    if not TOKEN_CHARACTERS_MIN <= len(text) <= TOKEN_CHARACTERS_MAX:
        return [f"{name} must have {TOKEN_CHARACTERS_MIN}..{TOKEN_CHARACTERS_MAX} characters"]
    if not text.isascii() or not text.isprintable() or " " in text:
        return [f"{name} may hold printable ASCII characters only, and no space"]
    return []


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
