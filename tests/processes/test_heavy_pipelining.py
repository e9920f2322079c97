"""A client that sends far more than one turn answers, and reads all the time, gets every reply in order."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

from tests.support.configs import c_config
from tests.support.processes import EngineProcess
from vxutils.rpc.packet import HEADER_SIZE, encode_packet

REQUESTS = 20_000
ASSET_SUMMARY = 105


def test_twenty_thousand_large_replies(tmp_path: Path) -> None:
    with EngineProcess(tmp_path, c_config()) as engine:
        address = engine.address("tcp")
        with socket.create_connection((address.host, address.port), timeout=60) as sock:
            data = b"".join(encode_packet(ASSET_SUMMARY, 0, n, n, b"[]") for n in range(1, REQUESTS + 1))
            sender = threading.Thread(target=sock.sendall, args=(data,))
            sender.start()
            received, sequences = b"", []
            while len(sequences) < REQUESTS:
                chunk = sock.recv(1 << 20)
                assert chunk, f"closed after {len(sequences)} replies"
                received += chunk
                start = 0
                while len(received) - start >= HEADER_SIZE:
                    sequence, size = struct.unpack_from("<18xI8xI", received, start)[:2]
                    if len(received) - start < HEADER_SIZE + size:
                        break
                    sequences.append(sequence)
                    start += HEADER_SIZE + size
                received = received[start:]
            sender.join()
        assert sequences == list(range(1, REQUESTS + 1))
