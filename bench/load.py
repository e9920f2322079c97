"""Load generator for a server that speaks the raw RPC over TCP: the Python equal of loadgen.c.

    python -m bench.load -a 127.0.0.1:7316 -m mix -c 16 -w 64 -t 20 --pid 4711

The options and the keys of the JSON line it prints are those of loadgen.c, so figures of both compare.
Added: `-R` (exactly so many requests) and, with `--pid`, facts about the server's process.
`takers_traded_per_s` is a lower bound of trades in mix and exact in pairs.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys

from bench.generator import CONNECTIONS_MAX, WINDOW_MAX, Load, LoadError, LoadSettings


def parse_arguments(arguments: list[str]) -> LoadSettings:
    """The settings of one command line; wrong ones end the process with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description="Load generator, raw RPC.")
    add = parser.add_argument
    add("-a", dest="address", default="127.0.0.1:7316", help="ip:port of the server")
    add("-m", dest="mode", choices=("mix", "pairs", "rest"), default="mix")
    add("-c", dest="connections", type=int, default=4)
    add("-w", dest="window", type=int, default=32, help="requests outstanding per connection")
    add("-t", dest="seconds", type=float, default=20)
    add("-W", dest="warm_up_s", type=float, default=2, help="seconds before measuring begins")
    add("-r", dest="rate", type=float, default=0, help="requests per second of all; 0 = closed loop")
    add("-T", dest="tick_us", type=int, default=0, help="at a rate: send so often at most, us; 0 = when due")
    add("-R", dest="requests", type=int, default=0, help="send exactly so many, no warm-up; 0 = by time")
    add("-k", dest="market", default="BTCBCH")
    add("-s", dest="stock", default="BTC")
    add("-o", dest="money", default="BCH")
    add("-u", dest="users", type=int, default=100)
    add("-S", dest="seed", type=int, default=1)
    add("-b", dest="business_id", type=int, default=0, help="first business id of the credits; 0 = by time")
    add("-n", dest="credit", action="store_false", help="credit nobody")
    add("-B", dest="unavailable_pause_us", type=int, default=0, help="pause after `service unavailable`")
    add("--pid", type=int, default=0, help="process id of the server, for its memory and processor time")
    given = vars(parser.parse_args(arguments))
    host, _, port = given.pop("address").rpartition(":")
    if not host or not port.isdecimal():
        parser.error("-a takes ip:port")
    settings = LoadSettings(host=host, port=int(port), **given)
    if not 1 <= settings.connections <= CONNECTIONS_MAX:
        parser.error(f"-c takes 1 to {CONNECTIONS_MAX}")
    if not 1 <= settings.window <= WINDOW_MAX:
        parser.error(f"-w takes 1 to {WINDOW_MAX}")
    not_below_0 = min(settings.rate, settings.tick_us, settings.requests)
    if settings.users < 1 or settings.seconds <= 0 or not_below_0 < 0:
        parser.error("-u and -t must be above 0, -r, -T and -R not below")
    return settings


def main(arguments: list[str]) -> int:
    """Runs one load and prints its line; the exit code."""
    load = Load(parse_arguments(arguments))
    gc.freeze()  # 65,536 packets which a collection need not visit during the run
    gc.disable()
    try:
        load.run()
    except (LoadError, OSError) as error:
        print(f"bench.load: {error}", file=sys.stderr)
        return 1
    print(json.dumps(load.result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
