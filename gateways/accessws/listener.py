"""The listener of accessws: what `gateways.common.listener` must know about it.

In `viabtc` style a connection that nobody serves ends without an answer, as every bad handshake does there.

Source: protocol.md 8.1, 9.1.
"""

from __future__ import annotations

from pathlib import Path

from gateways.accessws.numbers import METRICS
from gateways.accessws.settings import AccesswsSettings
from gateways.common.access import Networks
from gateways.common.gateway import Announce
from gateways.common.listener import Entrance, Listener, ListenerPlan
from gateways.common.overview import Shown
from gateways.common.refusals import HttpRefusals
from gateways.common.startup import RUN_DIRECTORY
from vxutils.log import Log


def make_listener(
    settings: AccesswsSettings, data_directory: Path, log: Log | None, announce: Announce
) -> Listener:
    """Raises: ProcessExit for too long a path."""
    is_plain = settings.wire_style == "plain"
    plan = ListenerPlan(
        shown=Shown(
            name="accessws",
            metrics=METRICS,
            backends=[service.value for service, one in settings.backends.items() if one.address],
            worker_num=settings.worker_num,
        ),
        entrances=[
            Entrance(listener.bind, Networks(listener.allow_cidrs).admits, bool(listener.tls_certificate))
            for listener in settings.listener
        ],
        refusal=HttpRefusals("plain").answer if is_plain else lambda error: b"",
        monitor=settings.monitor.address,
    )
    return Listener(plan, data_directory / RUN_DIRECTORY, log, announce)
