"""The listener of accesshttp: what `gateways.common.listener` must know about it."""

from __future__ import annotations

from pathlib import Path

from gateways.accesshttp.numbers import METRICS
from gateways.accesshttp.settings import AccesshttpSettings
from gateways.common.access import Access
from gateways.common.gateway import Announce
from gateways.common.listener import Entrance, Listener, ListenerPlan
from gateways.common.overview import Shown
from gateways.common.refusals import HttpRefusals
from gateways.common.startup import RUN_DIRECTORY
from vxutils.log import Log


def make_listener(
    settings: AccesshttpSettings, data_directory: Path, log: Log | None, announce: Announce
) -> Listener:
    """Raises: SettingsError when a token file can not be used, ProcessExit for too long a path."""
    plan = ListenerPlan(
        shown=Shown(
            name="accesshttp",
            metrics=METRICS,
            backends=[service.value for service, one in settings.backends.items() if one.address],
            worker_num=settings.worker_num,
        ),
        entrances=[
            Entrance(listener.bind, Access(listener).admits_peer, bool(listener.tls_certificate))
            for listener in settings.listener
        ],
        refusal=HttpRefusals(settings.wire_style).answer,
        monitor=settings.monitor.address,
    )
    return Listener(plan, data_directory / RUN_DIRECTORY, log, announce)
