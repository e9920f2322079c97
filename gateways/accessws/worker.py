"""One worker process, from start to stop: connections from the listener in, requests and pushes out.

    start: certificates, accounts -> backends -> subscriptions -> servers -> link to the listener -> ready
    stop:  no more connections -> everybody is told (1001) -> everything closed

It binds nothing; see `gateways.common.listener`. Killed, it loses its own connections and nothing else. How
it lives is in `gateways.common.worker_life`.

Source: protocol.md 8.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateways.accessws.exchange import Exchange
from gateways.accessws.forwards import Forwards
from gateways.accessws.front import Front
from gateways.accessws.numbers import Numbers
from gateways.accessws.outgoing import Outbox
from gateways.accessws.peers import Peers
from gateways.accessws.settings import AccesswsSettings, WsListenerSettings
from gateways.accessws.sources import BackendAsker, SnapshotAsker
from gateways.accessws.subscriptions import Subscriptions
from gateways.common.authentication import make_authenticator
from gateways.common.backends import Backends
from gateways.common.certificates import Certificates
from gateways.common.market_snapshots import MarketSnapshots
from gateways.common.snapshot_answers import SnapshotAnswers
from gateways.common.worker_life import LifePlan, State, WorkerLife
from vxnet.clock import SystemClock
from vxnet.loop import new_event_loop
from vxutils.http.client_address import address_rule, parse_networks
from vxutils.log import Log
from vxutils.rpc.replies import ReplyFormat
from vxutils.ws import HandshakeRules, WsLimits, WsServer

GOODBYES: Final = 2
"""A close handshake may take one `close_timeout_s`, and closing the socket after it another one."""

_log = logging.getLogger("vx.accessws")


class Worker:
    """Worker `index` of the gateway; `run` returns its exit code."""

    def __init__(
        self,
        settings: AccesswsSettings,
        data_directory: Path,
        index: int,
        log: Log | None,
        announce: Callable[[str], None],
    ) -> None:
        """Raises: SettingsError when a certificate can not be used, ProcessExit for too long a path."""
        self._numbers = Numbers()
        self._loop = loop = new_event_loop()
        self._backends = Backends(loop, settings.backends, settings.timeout_s)
        self._asked = Backends(
            loop, settings.backends, settings.timeout_s
        )  # what pushes ask waits for nobody
        self._outbox = Outbox(loop, settings.push.client_queue_size_bytes_max)
        clock = SystemClock()
        self._snapshots = MarketSnapshots(data_directory, settings.wire_style, clock)
        self._answers = SnapshotAnswers(self._snapshots, settings.snapshot_source)
        self._exchange = Exchange(data_directory, clock, settings.topics)
        self._subscriptions = Subscriptions(
            loop,
            settings.push,
            settings.wire_style,
            self._outbox,
            SnapshotAsker(self._answers, BackendAsker(self._asked)),
            clock,
            books=self._snapshots,
            snapshot_source=settings.snapshot_source,
            open_feed=self._exchange.open_feed(),
            feed_patience_s=self._exchange.feed_patience_s,
            recorded=self._exchange.recorded(),
        )
        self._authenticator = make_authenticator(
            loop, settings.authentication, data_directory, self._identities_ended
        )
        self._peers = Peers(settings.websocket.connections_per_address_max)
        self._front = Front(
            loop,
            self._outbox,
            self._subscriptions,
            self._authenticator,
            self._numbers,
            self._peers,
            settings.wire_style,
        )
        self._forwards = Forwards(
            loop,
            self._backends,
            self._answers,
            ReplyFormat(settings.wire_style, debug=False),
            self._numbers,
            self._front,
            cache_timeout_s=settings.cache_timeout_s,
            in_flight_max=settings.websocket.requests_in_flight_max,
        )
        self._front.serve(self._forwards)
        limits = websocket_limits(settings)
        self._certificates = Certificates(settings.listener)
        self._servers = [
            WsServer(
                loop,
                [],
                self._front,
                limits,
                handshake=handshake_rules(settings, listener),
                c_style=settings.wire_style == "viabtc",
                tls=self._certificates.of(number),
            )
            for number, listener in enumerate(settings.listener)
        ]
        plan = LifePlan(
            name="accessws",
            index=index,
            data_directory=data_directory,
            connections_max=settings.websocket.connections_max,
            drain_s=drain_s(settings),
            is_done=lambda now: self._life.connections == 0,
            state=self._state,
        )
        self._life = WorkerLife(plan, loop, self._servers, self._certificates, log, announce)

    def run(self) -> int:
        """Serve until told to stop."""
        if not self._exchange.has_messages:
            _log.warning("no exchange in this data directory: no user events, and all data is asked for")
        try:
            return self._life.run([self._authenticator, self._backends, self._asked, self._subscriptions])
        finally:
            self._exchange.close()
            self._snapshots.close()

    def _identities_ended(self) -> None:
        self._front.look_at_identities()

    def _state(self) -> State:
        samples = self._numbers.samples(
            self._servers, self._backends, self._forwards.cache, self._peers, len(self._front.authenticated)
        )
        samples += self._subscriptions.samples() + self._answers.samples()
        return State(self._backends, samples, self._numbers.latency)


def drain_s(settings: AccesswsSettings) -> float:
    """How long an orderly stop may take."""
    return GOODBYES * settings.websocket.close_timeout_s


def websocket_limits(settings: AccesswsSettings) -> WsLimits:
    """The bounds of one websocket server as the settings have them."""
    websocket = settings.websocket
    return WsLimits(
        message_bytes_max=websocket.message_size_bytes_max,
        message_timeout_s=websocket.message_timeout_s,
        messages_per_s=websocket.messages_per_s,
        messages_burst=websocket.messages_burst,
        handshake_bytes_max=websocket.handshake_size_bytes_max,
        handshake_timeout_s=websocket.handshake_timeout_s,
        keep_alive_s=websocket.keep_alive_s,
        ping_interval_s=websocket.ping_interval_s if settings.wire_style == "plain" else 0.0,
        output_bytes_max=websocket.unsent_size_bytes_max,
        close_timeout_s=websocket.close_timeout_s,
        connections_max=websocket.connections_max,
        read_mem=websocket.read_mem,
        write_mem=websocket.write_mem,
    )


def handshake_rules(settings: AccesswsSettings, listener: WsListenerSettings) -> HandshakeRules:
    """Who may come in over one listener."""
    return HandshakeRules(
        protocol=settings.websocket.protocol,
        origins=listener.origins,
        deflate=settings.websocket.compression,
        client_address=address_rule(
            parse_networks(listener.trusted_proxies), settings.wire_style == "viabtc"
        ),
    )
