"""accesshttp as processes: what `gateways.common.gateway` must know about it.

Source: protocol.md 8.1, 10.6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateways.accesshttp.listener import make_listener
from gateways.accesshttp.settings import AccesshttpSettings
from gateways.accesshttp.worker import DRAIN_MARGIN_S, Worker
from gateways.common.access import Access
from gateways.common.certificates import Certificates, has_tls
from gateways.common.gateway import Announce, Gateway
from vxutils.log import Log

NAME: Final = "accesshttp"


def _check(settings: AccesshttpSettings, data_directory: Path) -> None:
    """Raises: SettingsError when a token file or a certificate can not be used."""
    for listener in settings.listener:
        Access(listener)
    Certificates(settings.listener)


def _make_worker(
    settings: AccesshttpSettings, data_directory: Path, index: int, log: Log | None, announce: Announce
) -> Worker:
    return Worker(settings, data_directory, index, log, announce)


GATEWAY: Final = Gateway[AccesshttpSettings](
    name=NAME,
    check=_check,
    listener=make_listener,
    worker=_make_worker,
    connections_max=lambda settings: settings.http.connections_max,
    drain_s=lambda settings: settings.timeout_s + DRAIN_MARGIN_S,
    takes_hangup=lambda settings: has_tls(settings.listener),
)
