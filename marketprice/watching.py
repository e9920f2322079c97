"""Marketprice for its monitor: health and metrics, read when somebody asks.

It knows the parts of the process and changes none of them.
"""

from __future__ import annotations

from typing import Final

from marketprice.ingest import Ingest
from marketprice.kafka_deals import KafkaDeals
from marketprice.server import MarketServer
from marketprice.tickers_ring import TickerRings
from vxutils.metrics import Labelled, Metrics
from vxutils.monitor import Health

PREFIX: Final = "marketprice_"


class Watching:
    """`health` and `metrics` of one process."""

    def __init__(self, ingest: Ingest, server: MarketServer, rings: TickerRings | None) -> None:
        self.metrics = Metrics()
        self._ingest = ingest
        counter, gauge = self.metrics.counter, self.metrics.gauge
        counter(f"{PREFIX}requests", "Requests answered.", [], lambda: server.answered)
        counter(f"{PREFIX}dropped_datagrams", "Requests dropped.", [], lambda: server.dropped_datagrams)
        counter(f"{PREFIX}deals", "Deals taken in.", [], lambda: ingest.deals)
        counter(f"{PREFIX}bad_messages", "Messages that were no deals.", [], lambda: ingest.bad_messages)
        counter(f"{PREFIX}messages", "Messages by where they came from.", ["source"], self._taken)
        gauge(f"{PREFIX}offset", "Last message taken in.", [], lambda: ingest.position.offset)
        gauge(f"{PREFIX}saved_offset", "Last message saved.", [], lambda: ingest.saved.offset)
        gauge(f"{PREFIX}markets", "Markets known.", [], lambda: len(ingest.markets.by_name))
        if rings is not None:
            gauge(f"{PREFIX}rings", "Markets in shared memory.", [], lambda: rings.opened)
            gauge(f"{PREFIX}rings_failed", "Markets whose ring can not be made.", [], lambda: rings.failed)
            counter(f"{PREFIX}rings_too_large", "Numbers too large for a ring.", [], lambda: rings.too_large)

    def _taken(self) -> Labelled:
        return {(source,): count for source, count in self._ingest.feed.taken.items()}

    def health(self) -> Health:
        """`degraded` while there is no history to read, or the disk does not take what was read.

        `missing_deals`: those of the latest gap in the topic that were nowhere; a start forgets them.
        """
        ingest = self._ingest
        trouble = ingest.trouble
        facts = {
            "trouble": trouble or "none",
            "feed": ingest.feed.source,
            "offset": ingest.position.offset,
            "saved_offset": ingest.saved.offset,
            "markets": len(ingest.markets.by_name),
        }
        if isinstance(ingest.feed, KafkaDeals):
            facts["missing_deals"] = ingest.feed.missing or "none"
        return Health("ok" if trouble is None else "degraded", facts)
