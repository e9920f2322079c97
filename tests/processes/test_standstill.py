"""A process that was stopped for a while refuses the commands that waited, and goes on as before."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from tests.support.configs import toml_config
from tests.support.processes import EngineProcess
from vxutils.rpc.packet import encode_packet

STANDSTILL_S = 2.5  # the worker looks at the clock once a second


def test_commands_sent_to_a_stopped_worker_are_refused(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, toml_config()) as engine, engine.client() as client:
        update = [1, "BTC", "deposit", 1, "5", {}]
        os.kill(engine.worker_pid, signal.SIGSTOP)
        try:
            client.send(encode_packet(102, 0, 1, 1, json.dumps(update).encode()))
            time.sleep(STANDSTILL_S)
        finally:
            os.kill(engine.worker_pid, signal.SIGCONT)
        reply = json.loads(client.receive().body)
        assert reply["error"]["code"] == 3, reply
        assert reply["error"]["data"]["reason"] == "waited_too_long"
        assert client.call(101, [1, "BTC"])["result"]["BTC"]["available"] == "0"
        assert client.call(102, update)["error"] is None
