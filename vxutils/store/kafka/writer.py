"""The one writer of the topics: each batch of messages in one transaction, exactly once.

    batch --> in flight, synced --> begin, messages, commit --> position, synced
              (kafka.json)          (balances, orders, deals)    (kafka.json)

    opened:  are the topics ahead of us?       then end here, before anybody is disturbed
             take over `vx-<system id>`        whoever wrote under it is fenced, what he left open is undone
             is the batch in flight there?     that alone is what the topics decide

A topic that is empty, was made anew, cut off, or written to by the C system is gone on with from our own
position, with an alarm: never from zero, and nothing is skipped. After a restore the topics hold more than we
have sent: what is our own past too is not sent a second time, the rest is counted in an alarm. After any
failure the connection is given up, and the next attempt begins with opening: so there is one way back, and it
is used often.

It blocks, and the library works in threads of its own: it is for a process that does nothing else. Nothing
here retries.

Source: protocol.md 5.1, 5.2.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from vxutils.disk import Disk
from vxutils.store.embedded.schema import (
    TOPICS,
    HistoryBase,
    HistoryBatch,
    HistoryPosition,
    NumberedMessage,
)
from vxutils.store.embedded.writer import OutOfPlace
from vxutils.store.kafka.errors import (
    KafkaAhead,
    KafkaAway,
    KafkaFloorBad,
    KafkaForeign,
    KafkaRefused,
    KafkaTooLarge,
    sort_error,
)
from vxutils.store.kafka.floor import (
    FLOOR_FILE,
    Floor,
    InFlight,
    TopicMark,
    read_floor,
    write_floor,
)
from vxutils.store.kafka.headers import MessageId, Origin, pack_headers
from vxutils.store.kafka.login import connection_settings
from vxutils.store.kafka.past import Past
from vxutils.store.kafka.reading import SILENT, TopicReader
from vxutils.store.kafka.settings import PARTITION, KafkaLogin

BATCH_BYTES: Final = 8
"""Of the token by which the messages of a batch are known."""

REQUEST_S: Final = 10.0
"""One request to a broker; then the connection is a bad one."""

DELIVERY_S: Final = 30.0
"""A batch may take this long to be taken; then it is given up, and sent again."""

ANSWER_S: Final = 2.0
"""While a batch is not taken, a broker must say at least something within this time, or it is away."""

TRANSACTION_S: Final = 60.0
"""After which the brokers undo what a dead writer left open, and readers see what came after it."""

LINGER_MS: Final = 5
REQUEST_BYTES_MAX: Final = 1_000_000
REQUEST_BYTES_MIN: Final = 4_000
QUEUE_MESSAGES_MAX: Final = 200_000
READ_BACK_MAX: Final = 1_000_000
"""Messages after our own mark that are looked through; the C system may have written for days."""

Alarm = Callable[[str], None]


class KafkaMessageWriter:
    """The open topics. For one process and thread; `position` is what is committed and synced.

    `base` is from where this directory's messages begin. Rows in a batch are not looked at.
    """

    def __init__(
        self,
        brokers: str,
        directory: Path,
        floor: Floor,
        disk: Disk,
        alarm: Alarm,
        login: KafkaLogin | None = None,
    ) -> None:
        self.brokers = brokers
        self._login = login
        self._directory = directory
        self._floor = floor
        self._disk = disk
        self._alarm = alarm
        self._told: dict[str, str] = {}  # topic -> latest alarm
        self._producer: Producer | None = None
        self._request_bytes = REQUEST_BYTES_MAX
        self._marks: dict[str, TopicMark] = {}  # of what was delivered in this transaction
        self._undelivered: KafkaError | None = None
        self._failure = ""  # what the library said last

    @property
    def position(self) -> HistoryPosition:
        return self._floor.position

    @property
    def base(self) -> HistoryBase:
        return self._floor.base

    def append(self, batch: HistoryBatch) -> list[NumberedMessage]:
        """Commits the messages of one batch, and its position; the list is empty: Kafka has the offsets.

        Raises: OutOfPlace; KafkaTrouble, OSError: the same batch may be given again, whether it arrived or
        not; KafkaRefused.
        """
        if self._producer is None:
            self.reach()
        if batch.position == self.position:
            return []  # it had arrived when the attempt before this one failed
        if batch.after_sequence != self.position.sequence:
            raise OutOfPlace(
                f"a batch after sequence {batch.after_sequence} for topics at {self.position.sequence}"
            )
        batch = self._without_found(batch)
        if not batch.messages:
            self._settle(batch.position, {})
            return []
        try:
            in_flight = InFlight(batch.position, token_hex(BATCH_BYTES))
            self._write(msgspec.structs.replace(self._floor, in_flight=in_flight))
            self._transact(batch, in_flight.batch)
            self._settle(batch.position, self._marks)
        except BaseException:
            self.close()
            raise
        return []

    def reach(self) -> None:
        """Becomes the writer, and finds out whether the batch in flight arrived.

        Raises: KafkaTrouble, KafkaRefused, OSError.
        """
        reader = TopicReader(self.brokers, self._login)
        try:
            for topic in TOPICS:
                self._look(reader, topic)
            producer = self._connect()
            arrived = False
            marks: dict[str, TopicMark] = {}
            found = 0
            for topic in TOPICS:
                looked = self._look(reader, topic)
                marks[topic] = looked.mark
                arrived, found = arrived or looked.arrived, max(found, looked.found)
        finally:
            reader.close()
        floor = self._floor
        position = floor.in_flight.position if arrived and floor.in_flight is not None else floor.position
        self._settle(position, marks, found)
        self._producer = producer

    def _without_found(self, batch: HistoryBatch) -> HistoryBatch:
        """Without the messages that our past, which was restored, has sent."""
        past = self._floor.given_up
        if past is None or batch.after_sequence >= past.found:
            return batch
        messages = [message for message in batch.messages if message[1] > past.found]
        return msgspec.structs.replace(batch, messages=messages)

    def close(self) -> None:
        """Ends the connection; what was not committed will be undone."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    # -- sending -------------------------------------------------------------------------------

    def _connect(self) -> Producer:
        self._failure = ""
        producer = Producer(
            connection_settings(self.brokers, self._login)
            | {
                "transactional.id": f"vx-{self._floor.system}",
                "transaction.timeout.ms": int(TRANSACTION_S * 1000),
                "message.timeout.ms": int(DELIVERY_S * 1000),
                "socket.timeout.ms": int(REQUEST_S * 1000),
                "reconnect.backoff.max.ms": 2_000,
                "allow.auto.create.topics": False,
                "linger.ms": LINGER_MS,
                "batch.size": self._request_bytes,
                "queue.buffering.max.messages": QUEUE_MESSAGES_MAX,
                "error_cb": self._note,
                "on_delivery": self._delivered,
                "logger": SILENT,  # what it has to say comes as errors
            }
        )
        try:
            producer.init_transactions(REQUEST_S)
        except KafkaException as error:
            raise self._sorted(error.args[0]) from error
        return producer

    def _transact(self, batch: HistoryBatch, name: str) -> None:
        producer = self._producer
        assert producer is not None, "it was reached"
        self._marks, self._undelivered = {}, None
        system, epoch = self._floor.system, str(batch.position.epoch)
        try:
            producer.begin_transaction()
            for topic, sequence, index, payload in batch.messages:
                headers = pack_headers(system, epoch, sequence, index, name)
                while True:
                    try:
                        producer.produce(topic, payload, partition=PARTITION, headers=headers)
                        break
                    except BufferError:
                        producer.poll(0.1)
                        self._demand_delivery()
            self._flush(producer)
            self._mark_ids(batch)
            producer.commit_transaction(REQUEST_S)
        except (KafkaException, SystemError) as error:
            # A fatal error is raised in the middle of the library's callbacks, which wraps it.
            said = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(said, KafkaException):
                raise
            found = self._sorted(said.args[0])
            if not isinstance(found, KafkaRefused):
                self._demand_delivery()  # which tells more
            raise found from error

    def _flush(self, producer: Producer) -> None:
        """Waits until all is taken. Raises: what keeps it from that; at the latest after DELIVERY_S, sooner
        when nobody answers any more."""
        deadline = time.monotonic() + DELIVERY_S
        while left := producer.flush(ANSWER_S):
            self._demand_delivery()
            if time.monotonic() > deadline:
                raise KafkaAway(f"{self.brokers}: {left} messages were not taken within {DELIVERY_S:g} s")
            producer.list_topics(TOPICS[0], ANSWER_S)
        self._demand_delivery()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        """Called for each message, in the order of its topic."""
        if error is not None:
            if self._undelivered is None or self._undelivered.code() == KafkaError._PURGE_QUEUE:
                self._undelivered = error
            return
        topic, offset = message.topic(), message.offset()
        assert topic is not None, "ours have one"
        assert offset is not None, "the broker gave it one"
        if topic not in self._marks and offset < self._floor.topics[topic].end:
            self._warn(
                topic,
                "was made anew or cut back while we wrote; what was in it is gone",
            )
        self._marks[topic] = TopicMark(offset + 1, offset)

    def _demand_delivery(self) -> None:
        error = self._undelivered
        if error is None:
            return
        found = self._sorted(error)
        if isinstance(found, KafkaTooLarge) and self._request_bytes > REQUEST_BYTES_MIN:
            # The limit of a topic is for what is sent at once, which may be many messages.
            self._request_bytes = max(self._request_bytes // 4, REQUEST_BYTES_MIN)
        raise found

    def _mark_ids(self, batch: HistoryBatch) -> None:
        """The last message of each topic as it is known again."""
        ids = {topic: (sequence, index) for topic, sequence, index, _ in batch.messages}
        for topic, (sequence, index) in ids.items():
            self._marks[topic] = msgspec.structs.replace(
                self._marks[topic], epoch=batch.position.epoch, sequence=sequence, index=index
            )

    def _note(self, error: KafkaError) -> None:
        self._failure = error.str()

    def _sorted(self, error: KafkaError) -> Exception:
        found = sort_error(error, f"Kafka at {self.brokers}")
        if isinstance(found, KafkaAway) and self._failure:
            return KafkaAway(f"{found} ({self._failure})")
        return found

    # -- looking -------------------------------------------------------------------------------

    def _look(self, reader: TopicReader, topic: str) -> _Look:
        """Where the topic stands, and whether the batch in flight is in it.

        Raises: KafkaAhead, KafkaForeign, KafkaFloorBad, KafkaTrouble.
        """
        floor = self._floor
        low, high = reader.ends(topic)
        mark = floor.topics.get(topic)
        if mark is None:
            self._meet(reader.last(topic), topic, low < high)
            return _Look(TopicMark(high))
        begin = mark.end
        if high < mark.end or (low <= mark.offset and not self._is_ours(reader, topic, mark)):
            self._warn(topic, "was made anew or emptied; what was in it is gone")
            begin, mark = low, TopicMark(high)
        elif low > mark.end:
            self._warn(topic, f"holds nothing before offset {low}, and we had written up to {mark.end - 1}")
            begin = low
        arrived, strangers, past = False, 0, Past(floor.given_up)
        for count, (offset, origin) in enumerate(reader.read(topic, begin, high)):
            if origin is None:
                strangers += 1
            elif past.take(origin, floor):
                pass
            elif self._judge(origin, topic):
                arrived = True
                mark = TopicMark(offset + 1, offset, *origin.id)
            if count == READ_BACK_MAX:
                break
        if strangers:
            self._warn(
                topic, f"got {strangers} messages without headers since we last wrote, as the C system writes"
            )
        if past.lost:
            self._warn(
                topic,
                f"holds {past.lost} messages after sequence {past.kept}, up to {past.last}, which were given "
                "up when the exchange was restored; who reads it has them",
            )
        return _Look(msgspec.structs.replace(mark, end=high), arrived, past.found)

    def _is_ours(self, reader: TopicReader, topic: str, mark: TopicMark) -> bool:
        """Whether our last message is where we wrote it."""
        offset, origin = next(reader.read(topic, mark.offset, mark.end), (-1, None))
        wanted = (self._floor.system, MessageId(mark.epoch, mark.sequence, mark.index))
        return offset == mark.offset and origin is not None and origin[:2] == wanted

    def _judge(self, origin: Origin, topic: str) -> bool:
        """Whether a message after our mark is of the batch in flight; one that we never sent is refused."""
        floor = self._floor
        self._demand_own(origin, topic)
        if floor.in_flight is not None and origin.batch == floor.in_flight.batch:
            return True
        here, there = floor.position, origin.id
        if there.sequence > here.sequence or there.epoch > here.epoch:
            what = f"sequence {there.sequence}, while it is at {here.sequence}"
            if there.sequence <= here.sequence:
                what = f"epoch {there.epoch}, while it is at {here.epoch}"
            raise KafkaAhead(
                f"the topic {topic} at {self.brokers} holds messages of this system that this data directory "
                f"has not sent: {what}; it is an old copy, or its disk lost data. If it shall go on all the "
                "same, delete and make the topics anew"
            )
        return False

    def _demand_own(self, origin: Origin, topic: str) -> None:
        if origin.system != self._floor.system:
            raise KafkaForeign(
                f"the topic {topic} at {self.brokers} is written by system {origin.system}, this data "
                f"directory is system {self._floor.system}: two exchanges can not share a topic. If that one "
                "is gone for good, delete and make the topic anew"
            )

    def _meet(self, last: Origin | None, topic: str, has_messages: bool) -> None:
        """A topic that this directory has never written to."""
        if last is None:
            if has_messages:
                self._warn(topic, "holds messages without headers, as the C system writes")
            return
        if last.system in self._floor.former:
            return
        self._demand_own(last, topic)
        raise KafkaFloorBad(
            f"the topic {topic} at {self.brokers} holds messages of this system up to sequence "
            f"{last.id.sequence}, but {self._directory / FLOOR_FILE}, which tells how far they were sent, is "
            "gone: put it back from where it was, or delete and make the topics anew"
        )

    def _warn(self, topic: str, text: str) -> None:
        text = (
            f"the topic {topic} at {self.brokers} {text}; it goes on after sequence {self.position.sequence}"
        )
        if self._told.get(topic) != text:
            self._told[topic] = text
            self._alarm(text)

    # -- the position --------------------------------------------------------------------------

    def _settle(self, position: HistoryPosition, marks: dict[str, TopicMark], found: int = 0) -> None:
        """`found`: up to which sequence a past that was restored is in the topics."""
        past, topics = self._floor.given_up, self._floor.topics | marks
        if past is not None and found > past.found:
            past = msgspec.structs.replace(past, found=found)
        self._write(
            msgspec.structs.replace(
                self._floor, position=position, in_flight=None, topics=topics, given_up=past
            )
        )

    def _write(self, floor: Floor) -> None:
        write_floor(self._disk, self._directory, floor)
        self._floor = floor


class _Look(msgspec.Struct):
    """Of a topic: where it stands, whether the batch in flight is there, how far our past is."""

    mark: TopicMark
    arrived: bool = False
    found: int = 0


def open_messages(
    brokers: str,
    directory: Path,
    system_id: bytes,
    base: HistoryBase,
    disk: Disk,
    alarm: Alarm,
    login: KafkaLogin | None = None,
) -> KafkaMessageWriter:
    """Becomes the writer of the topics of `system_id`; a directory that never wrote begins at `base`.

    `alarm` gets a sentence about each topic that is not as we left it. Costs a second or less.

    Raises: KafkaTrouble, OSError: it may be tried again. KafkaRefused.
    """
    system = system_id.hex()
    floor = read_floor(disk, directory, system)
    if floor is None:
        floor = Floor(system=system, base=base, position=HistoryPosition(sequence=base.sequence))
    writer = KafkaMessageWriter(brokers, directory, floor, disk, alarm, login)
    writer.reach()
    return writer
