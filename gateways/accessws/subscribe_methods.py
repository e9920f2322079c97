"""The 16 subscribe and unsubscribe methods: what is checked when, and what a refusal leaves behind.

A subscription replaces the client's earlier one of its kind. Lists and depths lose the earlier one before all
is checked, and of a list the elements before a bad one stay; a candle keeps it until everything is right.
Knows nothing of what is pushed; `begin` gives a new subscriber the state.

Source: protocol.md 9.4, 9.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateways.accessws.client import Client
from gateways.accessws.push_settings import PushSettings
from gateways.accessws.topics import (
    PRIVATE_KINDS,
    Key,
    Kind,
    Registry,
    TooManySubscriptions,
    TooManyTopics,
    Topic,
)
from gateways.common.errors import AUTHENTICATION_REQUIRED, GatewayError, Outcome, invalid
from vxutils import fixed
from vxutils.fixed import power10
from vxutils.protocol.codes import SERVICE_UNAVAILABLE, ErrorCode

NAME_BYTES_MAX: Final = 15
"""Of a market, an asset, an interval."""
INTERVAL_MAX: Final = 2**53
"""Of a candle, in seconds; every language reads such a number exactly."""

Succeed = Callable[[], None]
Method = Callable[[Client, list[object], Succeed], GatewayError | None]

_NAME_RULE: Final = f"texts of at most {NAME_BYTES_MAX} bytes"


def _unavailable(reason: str, rule: str) -> GatewayError:
    error = ErrorCode(SERVICE_UNAVAILABLE.code, SERVICE_UNAVAILABLE.message, reason, "", rule)
    return GatewayError(503, error, Outcome.REFUSED)


NO_USER_EVENTS: Final = _unavailable(
    "user_events_unavailable", "this gateway does not run beside the exchange's data directory"
)
TOO_MANY_TOPICS: Final = _unavailable(
    "too_many_topics", "the clients of this gateway watch too many different things; try again later"
)


class SubscribeMethods:
    """The methods of one worker. `has_user_events` False: order and asset subscriptions get error 3."""

    def __init__(
        self,
        registry: Registry,
        settings: PushSettings,
        begin: Callable[[Topic, Client], None],
        *,
        has_user_events: bool,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._begin = begin
        self._has_user_events = has_user_events
        self._merges = [parsed for text in settings.depth_merge if (parsed := fixed.parse_exact(text))]

    def table(self) -> Mapping[str, Method]:
        """The methods by name: (client, params, succeed) -> None after `succeed` was called, or the error."""
        methods: dict[str, Method] = {}
        for kind in Kind:
            subscribe, unsubscribe = self._subscriber(kind), self._unsubscriber(kind)
            if kind in PRIVATE_KINDS:
                subscribe, unsubscribe = _authenticated(subscribe), _authenticated(unsubscribe)
            methods[f"{kind.value}.subscribe"] = subscribe
            methods[f"{kind.value}.unsubscribe"] = unsubscribe
        return methods

    def _subscriber(self, kind: Kind) -> Method:
        if kind is Kind.KLINE:
            return self._subscribe_kline
        if kind is Kind.DEPTH:
            return self._subscribe_depth
        return lambda client, params, succeed: self._subscribe_list(kind, client, params, succeed)

    def _unsubscriber(self, kind: Kind) -> Method:
        def unsubscribe(client: Client, params: list[object], succeed: Succeed) -> None:
            self._registry.unsubscribe(client, kind)
            succeed()

        return unsubscribe

    def _subscribe_kline(self, client: Client, params: list[object], succeed: Succeed) -> GatewayError | None:
        if len(params) != 2:
            return _wrong("params", "exactly 2: market, interval")
        market, interval = params
        if not _is_name(market):
            return _wrong("market", _NAME_RULE)
        if type(interval) is not int or not 0 < interval <= INTERVAL_MAX:
            return _wrong("interval", "whole seconds above 0")
        self._registry.unsubscribe(client, Kind.KLINE)
        return self._subscribe_one(client, Kind.KLINE, (market, interval), succeed)

    def _subscribe_depth(self, client: Client, params: list[object], succeed: Succeed) -> GatewayError | None:
        if len(params) != 3:
            return _wrong("params", "exactly 3: market, limit, interval")
        market, limit, interval = params
        if not _is_name(market):
            return _wrong("market", _NAME_RULE)
        if type(limit) is not int or limit <= 0:
            return _wrong("limit", "a whole number above 0")
        if not isinstance(interval, str) or not _is_name(interval):
            return _wrong("interval", _NAME_RULE)
        self._registry.unsubscribe(client, Kind.DEPTH)
        if limit not in self._settings.depth_limit:
            return _wrong("limit", f"one of {', '.join(map(str, self._settings.depth_limit))}")
        if not self._is_merge(interval):
            return _wrong("interval", f"one of {', '.join(self._settings.depth_merge)}")
        return self._subscribe_one(client, Kind.DEPTH, (market, interval, limit), succeed)

    def _subscribe_list(
        self, kind: Kind, client: Client, params: list[object], succeed: Succeed
    ) -> GatewayError | None:
        if kind in PRIVATE_KINDS and not self._has_user_events:
            return NO_USER_EVENTS
        self._registry.unsubscribe(client, kind)
        topics: list[Topic] = []
        for name in params:
            if not _is_name(name):
                return _wrong("params", _NAME_RULE)
            key = (client.user_id, name) if kind in PRIVATE_KINDS else (name,)
            topic = self._join(client, kind, key)
            if isinstance(topic, GatewayError):
                return topic
            topics.append(topic)
        succeed()
        for topic in topics:
            self._begin(topic, client)
        return None

    def _subscribe_one(self, client: Client, kind: Kind, key: Key, succeed: Succeed) -> GatewayError | None:
        topic = self._join(client, kind, key)
        if isinstance(topic, GatewayError):
            return topic
        succeed()
        self._begin(topic, client)
        return None

    def _join(self, client: Client, kind: Kind, key: Key) -> Topic | GatewayError:
        try:
            return self._registry.subscribe(client, kind, key)
        except TooManySubscriptions:
            rule = f"at most {self._settings.subscriptions_max} subscriptions of one connection"
            return invalid(400, "too_many_subscriptions", "params", rule)
        except TooManyTopics:
            return TOO_MANY_TOPICS

    def _is_merge(self, interval: str) -> bool:
        parsed = fixed.parse_exact(interval)
        return parsed is not None and any(
            parsed[0] * power10(scale) == merge * power10(parsed[1]) for merge, scale in self._merges
        )


def _authenticated(method: Method) -> Method:
    def checked(client: Client, params: list[object], succeed: Succeed) -> GatewayError | None:
        return method(client, params, succeed) if client.user_id else AUTHENTICATION_REQUIRED

    return checked


def _is_name(value: object) -> bool:
    return type(value) is str and len(value.encode("utf-8", "surrogatepass")) <= NAME_BYTES_MAX


def _wrong(parameter: str, rule: str) -> GatewayError:
    return invalid(400, "invalid_params", parameter, rule)
