"""The alert centre as a process, from start to stop.

    start: outlets -> store -> threads -> addresses -> monitor -> ready
    stop: receive nothing more -> outlets end -> what is left is stored

One works in a data directory; it writes `alerts.db` there.

Source: protocol.md 10.1.
"""

from __future__ import annotations

import logging
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateways.alertcenter.outlets import make_outlets
from gateways.alertcenter.service import AlertService, OwnFatalLines
from gateways.alertcenter.settings import AlertcenterSettings
from gateways.alertcenter.store import ALERTS_FILE, AlertsUnreadable
from gateways.alertcenter.watching import Watching
from vxnet.address import parse_address
from vxnet.clock import SystemClock
from vxnet.loop import new_event_loop
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log
from vxutils.monitor import Monitor
from vxutils.process import announce as announce_on_stdout
from vxutils.process import install_signals

NAME: Final = "alertcenter"
STOP_TIMEOUT_S: Final = 2.0

_log = logging.getLogger("vx.alertcenter")


def run_worker(
    settings: AlertcenterSettings,
    data_directory: Path,
    log: Log | None,
    announce: Callable[[str], None] = announce_on_stdout,
) -> int:
    """Serves until told to stop; the exit code. Raises: ProcessExit, AddressError."""
    loop = new_event_loop()
    outlets = make_outlets(settings)
    if not outlets:
        _log.warning("no outlet is set (smtp, webhook or command): alerts are kept, but nobody is told")
    own_host = settings.alert.host or socket.gethostname()
    try:
        service = AlertService(loop, settings, data_directory / ALERTS_FILE, outlets, SystemClock(), own_host)
    except (AlertsUnreadable, sqlite3.Error) as error:
        raise ProcessExit(ExitCode.JOURNAL_DAMAGED, f"{data_directory / ALERTS_FILE}: {error}") from error
    watching = Watching(service)
    monitor = None
    if settings.monitor.address is not None:
        address = parse_address(settings.monitor.address)
        monitor = Monitor(loop, address, watching.health, watching.metrics)
    if log is not None:
        log.attach(OwnFatalLines(service, own_host))

    def stop(signal_name: str) -> None:
        _log.info("stopping: %s", signal_name)
        loop.stop()

    try:
        service.start()
        places = [str(address) for address in service.server.bound]
        if monitor is not None:
            monitor.start()
            places.append(f"monitor {monitor.bound}")
        install_signals(loop, stop, log.level_up if log else None, log.level_down if log else None)
        line = f"{NAME} ready: {' '.join(places)}"
        _log.info("%s", line)
        announce(line)
        loop.run_forever()
    finally:
        if monitor is not None:
            monitor.stop()
        service.stop(STOP_TIMEOUT_S)
        loop.close()
    _log.info("stopped")
    return ExitCode.OK
