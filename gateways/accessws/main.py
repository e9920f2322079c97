"""accessws as processes: what `gateways.common.gateway` must know about it.

Source: protocol.md 8.1, 10.6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateways.accessws.listener import make_listener
from gateways.accessws.settings import AccesswsSettings
from gateways.accessws.worker import Worker, drain_s
from gateways.common.certificates import Certificates, has_tls
from gateways.common.gateway import Gateway
from vxutils.settings import SettingsError
from vxutils.store.kafka.errors import KafkaNotAllowed
from vxutils.store.kafka.login import connection_settings

NAME: Final = "accessws"


def _check(settings: AccesswsSettings, data_directory: Path) -> None:
    """Raises: SettingsError when a certificate, or a file for the login at the brokers, can not be used."""
    Certificates(settings.listener)
    try:
        for topic in (settings.topics or {}).values():
            connection_settings(topic.brokers, topic.login)
    except KafkaNotAllowed as error:
        raise SettingsError([str(error)]) from None


GATEWAY: Final = Gateway[AccesswsSettings](
    name=NAME,
    check=_check,
    listener=make_listener,
    worker=Worker,
    connections_max=lambda settings: settings.websocket.connections_max,
    drain_s=drain_s,
    takes_hangup=lambda settings: has_tls(settings.listener),
)
