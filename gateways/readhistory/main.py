"""The readhistory process, from start to stop.

    start: threads -> RPC server -> monitor -> ready
    stop: no new connections -> what was asked is answered -> closed

Any number of them may run on one data directory or one database: it is only read.

Source: protocol.md 7.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateways.readhistory.embedded import EmbeddedHistory
from gateways.readhistory.mysql import MysqlHistory
from gateways.readhistory.replies import Replies
from gateways.readhistory.service import HistoryService
from gateways.readhistory.settings import ReadhistorySettings
from gateways.readhistory.store import HistoryStore
from gateways.readhistory.watching import Watching
from vxnet.address import parse_address
from vxnet.loop import new_event_loop
from vxnet.server import ServerLimits
from vxnet.timer import Timer
from vxutils.exits import ExitCode
from vxutils.log import Log
from vxutils.monitor import Monitor
from vxutils.process import announce as announce_on_stdout
from vxutils.process import install_signals
from vxutils.rpc.heartbeat import HeartbeatMode, HeartbeatPolicy
from vxutils.rpc.server import RpcServer
from vxutils.store.embedded.schema import HISTORY_FILE

NAME: Final = "readhistory"
LOOK_PERIOD_S: Final = 1.0
STOP_TIMEOUT_S: Final = 5.0

_log = logging.getLogger("vx.readhistory")


def run_worker(
    settings: ReadhistorySettings,
    data_directory: Path,
    log: Log | None,
    announce: Callable[[str], None] = announce_on_stdout,
) -> int:
    """Serves until told to stop; the exit code. Raises: AddressError."""
    loop = new_event_loop()
    is_embedded = settings.history.store == "embedded"
    service = HistoryService(
        loop,
        _opener(settings, data_directory),
        Replies(settings.wire_style, settings.debug, rounds=is_embedded),
        settings.worker_num,
    )
    svr = settings.svr
    limits = ServerLimits(
        max_pkg_size=svr.max_pkg_size,
        buf_limit=svr.buf_limit,
        read_mem=svr.read_mem,
        write_mem=svr.write_mem,
        connections_max=svr.connections_max,
    )
    policy = HeartbeatPolicy(mode=HeartbeatMode(svr.heartbeat))
    server = RpcServer(loop, [parse_address(text) for text in svr.bind], limits, policy, service)
    watching = Watching(service, server)
    monitor = None
    if settings.monitor.address is not None:
        address = parse_address(settings.monitor.address)
        monitor = Monitor(loop, address, watching.health, watching.metrics)
    look = Timer(loop, LOOK_PERIOD_S, service.look, repeat=True)

    def stop(signal_name: str) -> None:
        _log.info("stopping: %s", signal_name)
        loop.stop()

    try:
        service.start()
        server.start()
        places = [str(address) for address in server.bound]
        if monitor is not None:
            monitor.start()
            places.append(f"monitor {monitor.bound}")
        install_signals(loop, stop, log.level_up if log else None, log.level_down if log else None)
        look.start()
        line = f"{NAME} ready: {' '.join(places)}"
        _log.info("%s", line)
        announce(line)
        loop.run_forever()
    finally:
        look.stop()
        if monitor is not None:
            monitor.stop()
        server.server.pause_accepting()
        service.stop(STOP_TIMEOUT_S)  # before the sessions close: their replies still go out
        server.stop()
        loop.close()
    _log.info("stopped")
    return ExitCode.OK


def _opener(settings: ReadhistorySettings, data_directory: Path) -> Callable[[], HistoryStore]:
    """Makes the store of one thread."""
    timeout_s = settings.query_timeout_s
    if settings.history.store == "embedded":
        return lambda: EmbeddedHistory(data_directory / HISTORY_FILE, timeout_s)
    database = settings.mysql.history
    assert database is not None, "the settings were checked"
    return lambda: MysqlHistory(database, timeout_s)
