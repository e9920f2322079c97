"""The marketprice process, from start to stop.

    store (made again from the history if it is no use) -> feed -> market list -> listen -> monitor -> ready
    stop: no more requests -> saved -> closed

One thread and one loop do everything: deals are taken in and requests answered in small steps, in turn.

Source: protocol.md 6.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from marketprice.core.calendar import Calendar
from marketprice.core.market import Markets
from marketprice.deal_history import DealHistory, EmbeddedDeals
from marketprice.feed import Feed, open_feed
from marketprice.ingest import Ingest
from marketprice.kafka_deals import KafkaDeals
from marketprice.market_list import MarketList
from marketprice.mysql_deals import MysqlDeals
from marketprice.persistence import FILE_NAME, Position, Store, StoreDamaged, StoreRefused
from marketprice.rebuild import NoHistory, OpenDeals, rebuild, rebuild_redis, remove
from marketprice.redis_persistence import RedisStore
from marketprice.requests import Requests
from marketprice.server import MarketServer
from marketprice.settings import MarketpriceSettings
from marketprice.tickers_ring import TickerRings
from marketprice.views import Views
from marketprice.watching import Watching
from vxnet.address import parse_address
from vxnet.clock import Clock, SystemClock
from vxnet.loop import new_event_loop
from vxnet.timer import Timer
from vxutils.disk import Disk
from vxutils.exits import ExitCode, ProcessExit
from vxutils.log import Log
from vxutils.monitor import Monitor
from vxutils.process import announce as announce_on_stdout
from vxutils.process import install_signals
from vxutils.protocol.ticker import STATUS_PERIOD_S
from vxutils.rpc.replies import ReplyFormat
from vxutils.store.embedded.feed import FeedBroken
from vxutils.store.embedded.schema import HISTORY_FILE
from vxutils.store.kafka.errors import KafkaNotAllowed
from vxutils.store.redis.errors import RedisError, RedisWrong
from vxutils.zone import open_zone

NAME: Final = "marketprice"
REDIS_WAIT_S: Final = 10.0
REDIS_RETRY_S: Final = 0.5
"""How long a start waits for the market data in Redis, and between two attempts."""

MARKET_LIST_WAIT_S: Final = 1.0
"""How long a first start waits for the list of markets before it serves without."""

RESULT_ROOM_BYTES: Final = 200
"""Of a reply, around its result: error, id and their names."""

_log = logging.getLogger("vx.marketprice")


def run_worker(
    settings: MarketpriceSettings,
    directory: Path,
    log: Log | None,
    announce: Callable[[str], None] = announce_on_stdout,
) -> int:
    """Serves until told to stop; the exit code. The caller holds the lock of this process.

    Raises: ProcessExit with a sentence; AddressError.
    """
    return _Worker(settings, directory, SystemClock(), log, announce).run()


def deals_in_database(settings: MarketpriceSettings) -> OpenDeals | None:
    """The deals of the database that the settings name; None if they name none."""
    database = settings.mysql.history
    return None if database is None else lambda markets: MysqlDeals(database, markets.decimals)


class _Worker:
    """The parts of one run, made in the order in which they need each other."""

    def __init__(
        self,
        settings: MarketpriceSettings,
        directory: Path,
        clock: Clock,
        log: Log | None,
        announce: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.directory = directory
        self.clock = clock
        self.log = log
        self.announce = announce
        self.zone_name = settings.zone_name
        self.calendar = Calendar(open_zone(self.zone_name))
        self.store: Store | RedisStore

    def run(self) -> int:
        try:
            markets, position = self.open_store()
            try:
                self.wire(markets, position)
                self.serve()
            finally:
                self.feed.close()
                self.store.close()
        except (StoreRefused, KafkaNotAllowed) as error:
            raise ProcessExit(ExitCode.CONFIG, str(error)) from error
        except (FeedBroken, StoreDamaged) as error:
            # The next start finds the same, and makes the candles again.
            raise ProcessExit(ExitCode.FAILURE, str(error)) from error
        except sqlite3.OperationalError as error:
            sentence = f"{self.directory / FILE_NAME} can not be opened: {error}"
            raise ProcessExit(ExitCode.FAILURE, sentence) from error
        _log.info("stopped: message %d", self.ingest.saved.offset)
        return ExitCode.OK

    def open_store(self) -> tuple[Markets, Position]:
        """The state as the store has it, made again from the history if it can not be gone on with."""
        if self.settings.redis.name:
            return self.load_redis()
        try:
            return self.load()
        except StoreDamaged as error:
            _log.critical("%s; it is set aside, candles are made again from the history", error)
            self.set_aside()
        except FeedBroken as error:
            _log.critical("%s; candles are made again from the history", error)
        try:
            rebuild(
                self.directory,
                self.calendar,
                self.zone_name,
                self.settings.retention,
                self.clock,
                deals_in_database(self.settings),
            )
        except (NoHistory, sqlite3.Error) as error:
            _log.critical("candles can not be made again now: %s", error)
        return self.load()

    def load(self) -> tuple[Markets, Position]:
        """Raises: StoreDamaged, StoreRefused, FeedBroken, sqlite3.OperationalError."""
        self.store = Store(self.directory / FILE_NAME, self.zone_name)
        try:
            markets, position = self.store.load(self.calendar, self.limits())
            self.feed = self.open_tried_feed(markets, position)
        except BaseException:
            self.store.close()
            raise
        return markets, position

    def load_redis(self) -> tuple[Markets, Position]:
        """As `open_store`, of a Redis. Raises: StoreRefused, FeedBroken, ProcessExit."""
        store = self.store = RedisStore(self.settings.redis, self.zone_name, self.clock)
        deadline_s = time.monotonic() + REDIS_WAIT_S
        while True:
            try:
                markets, position = store.load(self.calendar, self.limits())
                break
            except StoreRefused as error:
                raise StoreRefused(f"{store}: {error}") from None
            except RedisError as error:
                if isinstance(error, RedisWrong) or time.monotonic() > deadline_s:
                    raise ProcessExit(ExitCode.FAILURE, f"market data can not be read: {error}") from None
                time.sleep(REDIS_RETRY_S)
        try:
            self.feed = self.open_tried_feed(markets, position)
        except FeedBroken as error:
            _log.critical("%s; candles are made again from the history", error)
            markets, position = self.rebuild_redis(store)
            self.feed = self.open_tried_feed(markets, position)
        return markets, position

    def rebuild_redis(self, store: RedisStore) -> tuple[Markets, Position]:
        """Raises: ProcessExit."""
        try:
            return rebuild_redis(
                store,
                self.directory,
                self.calendar,
                self.settings.retention,
                self.clock,
                deals_in_database(self.settings),
            )
        except (NoHistory, sqlite3.Error, RedisError) as error:
            raise ProcessExit(ExitCode.FAILURE, f"candles can not be made again: {error}") from None

    def limits(self) -> dict[str, int]:
        """The earliest candles that are kept now."""
        return self.settings.retention.limits(self.clock.wall_us() // 1_000_000)

    def open_tried_feed(self, markets: Markets, position: Position) -> Feed:
        """The deals behind `position`, if what comes next is there. Raises: FeedBroken."""
        feed = self.open_feed(markets, position)
        try:
            feed.poll(0)  # takes nothing, and says whether it is
        except BaseException:
            feed.close()
            raise
        return feed

    def open_feed(self, markets: Markets, position: Position) -> Feed:
        """The deals behind `position`."""
        topic = self.settings.deals
        if not topic.brokers:
            return open_feed(self.directory, position, self.clock)
        newest = [market.recent.newest_first for market in markets.by_name.values()]
        last_id = max((deals[0].id for deals in newest if deals), default=0)
        return KafkaDeals(
            topic,
            position,
            last_id,
            self.clock,
            lambda: self.find_history(markets),
            self.settings.history_wait_s,
        )

    def find_history(self, markets: Markets) -> DealHistory | None:
        """Where deals can be read that the topic does not hold."""
        database = deals_in_database(self.settings)
        if database is not None:
            return database(markets)
        path = self.directory / HISTORY_FILE
        return EmbeddedDeals(path) if path.exists() else None

    def set_aside(self) -> None:
        """Keeps a bad file for a person to look at; the position in it must not be believed."""
        path = self.directory / FILE_NAME
        if path.exists():
            path.rename(path.with_name(f"{FILE_NAME}.bad-{time.strftime('%Y%m%d-%H%M%S')}"))
        remove(path)

    def wire(self, markets: Markets, position: Position) -> None:
        """Feed -> markets -> store and shared memory; requests -> views -> replies."""
        settings = self.settings
        self.loop = new_event_loop()
        if isinstance(self.store, RedisStore):
            self.store.start(self.loop)
        views = Views(settings.wire_style, settings.reply_size_bytes_max - RESULT_ROOM_BYTES)
        self.tickers: TickerRings | None = None
        if settings.rings.enabled and not settings.debug:  # indented replies are not the ring's texts
            self.tickers = TickerRings(
                self.loop,
                self.directory,
                markets,
                position,
                views,
                settings.wire_style,
                self.clock,
                has_status=settings.sec_max >= STATUS_PERIOD_S,
            )
        self.ingest = Ingest(
            self.loop,
            self.directory,
            markets,
            position,
            self.feed,
            self.store,
            settings.retention,
            self.clock,
            Disk(),
            self.tickers,
            is_beside_recorder=not settings.deals.brokers,
        )
        requests = Requests(
            markets,
            views,
            settings.retention,
            self.clock,
            buckets_max=settings.buckets_max,
            cache_timeout_us=int(settings.cache_timeout_s * 1_000_000),
            before=self.tickers.asked if self.tickers is not None else lambda market, now: None,
        )
        replies = ReplyFormat(settings.wire_style, settings.debug)
        self.server = MarketServer(self.loop, settings.svr, requests, replies, self.clock)
        self.monitor: Monitor | None = None
        if settings.monitor.address is not None:
            watching = Watching(self.ingest, self.server, self.tickers)
            address = parse_address(settings.monitor.address)
            self.monitor = Monitor(self.loop, address, watching.health, watching.metrics)
        self.market_list = MarketList(self.loop, settings.market_source, self.know, self.clock)
        self.patience = Timer(self.loop, MARKET_LIST_WAIT_S, self.listen, repeat=False)
        self.is_listening = False

    def serve(self) -> None:
        """Runs until a signal."""
        loop = self.loop
        try:
            install_signals(
                loop,
                self.stop,
                self.log.level_up if self.log else None,
                self.log.level_down if self.log else None,
            )
            if self.tickers is not None:
                self.tickers.open()  # before anybody is answered
            self.ingest.start()
            self.market_list.start()
            if self.ingest.markets.by_name:
                self.listen()
            else:
                self.patience.start()  # an empty list would make every question an error
            loop.run_forever()
        finally:
            self.patience.stop()
            self.market_list.stop()
            if self.monitor is not None:
                self.monitor.stop()
            self.server.stop()
            if self.tickers is not None:
                self.tickers.close()
            try:
                self.ingest.stop()
                loop.run_until_complete(self.market_list.ended())
            finally:
                loop.close()

    def know(self, names: list[str]) -> None:
        """Makes markets known that were never traded."""
        for name in names:
            self.ingest.markets.know(name)
        if self.tickers is not None:
            self.tickers.follow_markets()
        self.listen()

    def listen(self) -> None:
        """Opens the door, once."""
        if self.is_listening:
            return
        self.is_listening = True
        self.patience.stop()
        self.server.start()
        places = [str(address) for address in self.server.bound]
        if self.monitor is not None:
            self.monitor.start()
            places.append(f"monitor {self.monitor.bound}")
        line = f"{NAME} ready: {' '.join(places)}"
        _log.info("%s, message %d", line, self.ingest.position.offset)
        self.announce(line)

    def stop(self, signal_name: str) -> None:
        _log.info("stopping: %s", signal_name)
        self.loop.stop()
