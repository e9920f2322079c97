"""Engine, recorder and marketprice on one data directory, and gateways beside them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from matchengine.system import read_system
from tests.gateways.accesshttp.running import Gateway, HttpClient, toml_gateway
from tests.gateways.accessws.running import WsGateway, toml_websocket
from tests.marketprice.running import MarketpriceProcess
from tests.marketprice.running import toml_config as price_config
from tests.processes.recorders import RecorderProcess
from tests.support.configs import toml_config
from tests.support.processes import EngineProcess
from vxutils.disk import Disk
from vxutils.protocol.commands import BY_NAME
from vxutils.ring.segment import SHM_DIRECTORY, ring_name

MARKET = "BTCCNY"
DAY_S = 86_400
QUERIES = (
    ("order.depth", MARKET, 100, "0"),
    ("order.depth", MARKET, 1, "0"),
    ("order.depth", MARKET, 0, "0"),
    ("market.last", MARKET),
    ("market.status", MARKET, DAY_S),
    ("market.status_today", MARKET),
)


class Exchange:
    """Engine, recorder and marketprice on one data directory; gateways are added."""

    def __init__(self, directory: Path, held: ExitStack, *, has_prices: bool = True, rings: str = "") -> None:
        self.directory = directory
        self.held = held
        self.data = directory / "price" / "data"
        for name in ("price", "engine", "recorder"):
            (directory / name).mkdir(parents=True)
        # Addresses that stay the same when a service starts again.
        config = toml_config(bind=[f"stream@{directory}/engine.sock"]) + rings
        self.engine = held.enter_context(EngineProcess(directory / "engine", config, data_dir=self.data))
        self.prices: MarketpriceProcess | None = None
        if has_prices:
            held.enter_context(RecorderProcess(directory / "recorder", self.engine.config_path, self.data))
            config = price_config(wire_style="plain", market_source=str(self.engine.address("stream")))
            config = config.replace(
                '"tcp@127.0.0.1:0", "udp@127.0.0.1:0"', f'"stream@{directory}/prices.sock"'
            )
            self.prices = held.enter_context(MarketpriceProcess(directory / "price", config))
        self.asset_ids = iter(range(1, 1_000))

    def http(self, *, top: str = "", worker_num: int = 1) -> Gateway:
        config = toml_gateway(self.engine.address("stream"), top=top, worker_num=worker_num)
        return self.held.enter_context(
            Gateway(self._place("http"), self._with_prices(config), data_dir=self.data)
        )

    def websocket(self) -> WsGateway:
        config = toml_websocket(self.engine.address("stream"))
        return self.held.enter_context(
            WsGateway(self._place("ws"), self._with_prices(config), data_dir=self.data)
        )

    def ask(self, method: str, *params: Any) -> Any:
        """The reply of the service itself."""
        of_engine = method.startswith("order.")
        assert of_engine or self.prices is not None
        with self.engine.client("stream") if of_engine else self.prices.client("stream") as client:  # type: ignore[union-attr]
            return client.call(BY_NAME[method].id, list(params))

    def fund(self, *users: int) -> None:
        with self.engine.client("stream") as client:
            for user in users:
                for asset in ("BTC", "CNY"):
                    change: list[Any] = [user, asset, "deposit", next(self.asset_ids), "1000000", {}]
                    assert client.call(102, change)["error"] is None

    def rings(self) -> list[Path]:
        prefix = ring_name(read_system(Disk(), self.data).id_bytes, self.data, "")[1:]
        return sorted([*SHM_DIRECTORY.glob(f"{prefix}book.*"), *SHM_DIRECTORY.glob(f"{prefix}ticker.*")])

    def _place(self, name: str) -> Path:
        place = self.directory / name
        place.mkdir()
        return place

    def _with_prices(self, config: str) -> str:
        if self.prices is None:
            return config
        return config.replace(
            "[marketprice]\naddress = []",
            f'[marketprice]\naddress = ["{self.prices.addresses[0]}"]\nreconnect_timeout_s = 0.1',
        )


def limit(user: int, side: int, amount: str, price: str) -> list[Any]:
    return [user, MARKET, side, amount, price, "0", "0", "s"]


def done(client: HttpClient, method: str, *params: Any) -> Any:
    answer = client.call(method, params).json
    assert answer["error"] is None, answer
    return answer


def sources(gateway: Gateway, name: str = "accesshttp") -> dict[str, str]:
    """What answered the latest query of each method of worker 0."""
    found = {}
    for series, value in gateway.metrics().items():
        if value and series.startswith(f"{name}_snapshot_source"):
            labels = dict(part.split("=") for part in series.partition("{")[2].rstrip("}").split(","))
            if labels["worker"] == '"0"':
                found[json.loads(labels["method"])] = json.loads(labels["source"])
    return found
