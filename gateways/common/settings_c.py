"""The sections that the C system's gateways have in their `config.json`, and what they are in ours.

Names and JSON types only, as in `vxutils.settings.c_sections`: the tables made here are decoded like TOML,
where bounds are declared.

Source: protocol.md 10.3, 10.4.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from vxutils.settings.c_sections import given
from vxutils.settings.sections import BUF_LIMIT_MAX

Table = dict[str, Any]

RECONNECT_TIMEOUT_DEFAULT_S = 1.0
HEARTBEAT_TIMEOUT_DEFAULT_S = 3.0
HEARTBEAT_TIMEOUT_MIN_S = 2.0
HEARTBEAT_TIMEOUT_MAX_S = 600.0


class CClient(msgspec.Struct, frozen=True, kw_only=True):
    """An RPC client."""

    name: str
    addr: str | tuple[str, ...]
    max_pkg_size: int
    buf_limit: int | UnsetType = UNSET
    read_mem: int | UnsetType = UNSET
    write_mem: int | UnsetType = UNSET
    reconnect_timeout: float | UnsetType = UNSET
    heartbeat_timeout: float | UnsetType = UNSET


class CConsumer(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer of one topic."""

    brokers: str
    topic: str
    partition: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET


def consumer_table(consumer: CConsumer) -> Table:
    """Our section; the number of messages that may wait, and the offset, are our own business."""
    return {"brokers": consumer.brokers, "topic": consumer.topic} | given(partition=consumer.partition)


class CMonitor(msgspec.Struct, frozen=True, kw_only=True):
    """A plain server."""

    bind: str | tuple[str, ...]
    max_pkg_size: int
    buf_limit: int | UnsetType = UNSET
    read_mem: int | UnsetType = UNSET
    write_mem: int | UnsetType = UNSET


def addresses(value: str | tuple[str, ...]) -> list[str]:
    """One address or several, as a list."""
    return [value] if isinstance(value, str) else list(value)


def authentication_table(auth_url: str, sign_url: str, backend_timeout: float | UnsetType) -> Table:
    """Our section of an external authentication service, which the C system requires.

    An empty URL (refused there) is none.
    """
    table: Table = {"mode": "service", "auth_url": auth_url, "sign_url": sign_url}
    return table if backend_timeout is UNSET else table | {"timeout_s": backend_timeout}


def client_table(client: CClient) -> Table:
    """Our section of a backend. A time of 0 is the default, and no limit is the largest one we know."""
    table: Table = {
        "address": addresses(client.addr),
        "max_pkg_size": client.max_pkg_size,
        "buf_limit": BUF_LIMIT_MAX if client.buf_limit is UNSET else client.buf_limit or BUF_LIMIT_MAX,
        "reconnect_timeout_s": RECONNECT_TIMEOUT_DEFAULT_S
        if client.reconnect_timeout is UNSET
        else client.reconnect_timeout or RECONNECT_TIMEOUT_DEFAULT_S,
    }
    heartbeat_s = HEARTBEAT_TIMEOUT_DEFAULT_S
    if client.heartbeat_timeout is not UNSET and client.heartbeat_timeout:
        heartbeat_s = min(max(client.heartbeat_timeout, HEARTBEAT_TIMEOUT_MIN_S), HEARTBEAT_TIMEOUT_MAX_S)
    table["heartbeat_timeout_s"] = heartbeat_s
    if client.read_mem is not UNSET:
        table["read_mem"] = client.read_mem
    if client.write_mem is not UNSET:
        table["write_mem"] = client.write_mem
    return table
