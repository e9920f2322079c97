"""An echo endpoint on the server of the product, as a process: `python -m tests.rfc6455.echo [PORT]`.

Prints the port and serves until it is told to end. For clients that are programs of their own.
"""

from __future__ import annotations

import signal
import sys

from tests.vxutils.ws.driving import Echo
from vxnet.address import parse_address
from vxnet.loop import new_event_loop
from vxutils.ws import WsLimits, WsServer

MESSAGE_BYTES_MAX = 32 << 20
"""The fuzzing client sends up to 16 MiB."""


class ForgetfulEcho(Echo):
    """Keeps nothing."""

    def received(self, connection: object, message: str | bytes) -> None:
        super().received(connection, message)  # type: ignore[arg-type]
        self.messages.clear()
        self.connections.clear()


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    interval_s = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    loop = new_event_loop()
    limits = WsLimits(
        message_bytes_max=MESSAGE_BYTES_MAX,
        output_bytes_max=2 * MESSAGE_BYTES_MAX,
        ping_interval_s=interval_s,
    )
    server = WsServer(loop, [parse_address(f"tcp@127.0.0.1:{port}")], ForgetfulEcho(), limits)
    server.start()
    print(server.bound[0].port, flush=True)
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    loop.run_forever()
    server.stop()


if __name__ == "__main__":
    main()
