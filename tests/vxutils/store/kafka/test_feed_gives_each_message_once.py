"""A feed gives out what was committed, once and in order; what it can not give out it names."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.servers.kafka import KafkaAddress
from tests.servers.process import free_ports
from tests.vxutils.store.kafka.topics import PATIENCE_S, append, make, send_as_c, writer_of
from vxutils.store.embedded.feed import AnotherHistory, FeedBroken, MessagesGone, digest
from vxutils.store.embedded.schema import Message
from vxutils.store.kafka.consumer import KafkaFeed
from vxutils.store.kafka.headers import Headers, pack_headers
from vxutils.store.kafka.settings import ConsumerSettings

QUIET_S = 0.5
POLL_S_MAX = 0.25
"""A look that waits for a broker would wait for seconds."""


def feed_of(kafka: KafkaAddress, start: int | None, known: bytes = b"") -> KafkaFeed:
    settings = ConsumerSettings(brokers=kafka.brokers, topic="deals")
    return KafkaFeed(settings, "end" if start is None else start, known=known)


def take(feed: KafkaFeed, count: int) -> list[Message]:
    """The next so many messages."""
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        found += feed.poll(count - len(found))
        assert time.monotonic() < deadline, f"only {len(found)} messages came"
    return found


def nothing_more(feed: KafkaFeed) -> None:
    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        assert feed.poll(10) == []
        time.sleep(0.01)


def until_answered(feed: KafkaFeed) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while feed.trouble is not None:
        assert feed.poll(10) == []
        assert time.monotonic() < deadline, feed.trouble
        time.sleep(0.01)


def until_broken(feed: KafkaFeed) -> FeedBroken:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            assert feed.poll(10) == []
        except FeedBroken as error:
            feed.close()
            return error
        time.sleep(0.01)
    raise AssertionError("the feed went on")


def texts(messages: list[Message]) -> list[str]:
    return [message.payload for message in messages]


def test_from_an_offset_and_from_the_end(kafka: KafkaAddress, tmp_path: Path) -> None:
    make(kafka)
    writer = writer_of(kafka, tmp_path, os.urandom(16))
    append(writer, 10)
    whole = feed_of(kafka, 0)
    found = take(whole, 10)
    assert [(message.sequence, message.idx, message.payload) for message in found] == [
        (sequence, 0, str(sequence)) for sequence in range(1, 11)
    ]
    newest = feed_of(kafka, None)
    until_answered(newest)
    append(writer, 12)
    assert texts(take(newest, 2)) == texts(take(whole, 2)) == ["11", "12"]
    # A process that starts again knows the last message that it took.
    again = feed_of(kafka, found[6].offset + 1, digest(found[6].payload))
    assert texts(take(again, 5)) == ["8", "9", "10", "11", "12"]
    other = feed_of(kafka, found[6].offset + 1, digest("something else"))
    assert isinstance(until_broken(other), AnotherHistory)
    for feed in (whole, newest, again):
        feed.close()


def test_messages_that_come_twice_are_given_out_once(kafka: KafkaAddress) -> None:
    make(kafka, "deals")
    producer = Producer({"bootstrap.servers": kafka.brokers})

    def send(text: bytes, headers: Headers | None) -> None:
        producer.produce("deals", text, partition=0, headers=headers or [])

    for epoch, sequence, index in (
        (1, 5, 0),
        (1, 5, 1),
        (1, 5, 0),
        (1, 5, 1),
        (1, 5, 2),
        (1, 4, 9),
        (2, 3, 0),
    ):
        send(f"{epoch} {sequence} {index}".encode(), pack_headers("ab", str(epoch), sequence, index, "x"))
    send(b"c", None)
    send(b"c", None)
    send(b"half", [("system", "ab"), ("epoch", "x")])
    send(b"\xff", None)
    assert producer.flush(PATIENCE_S) == 0
    feed = feed_of(kafka, 0)
    expected = ["1 5 0", "1 5 1", "1 5 2", "2 3 0", "c", "c", "half", "\\xff"]
    assert texts(take(feed, 8)) == expected
    assert feed.duplicates == 3
    feed.close()


def test_what_was_not_committed_is_not_seen(kafka: KafkaAddress) -> None:
    make(kafka, "deals")
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": os.urandom(8).hex()})
    producer.init_transactions(PATIENCE_S)
    feed = feed_of(kafka, 0)
    for text in ("first", "second"):
        producer.begin_transaction()
        producer.produce("deals", text.encode(), partition=0)
        producer.flush(PATIENCE_S)
        nothing_more(feed)
        if text == "first":
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)
    assert texts(take(feed, 1)) == ["second"]
    feed.close()


def test_a_gap_is_named(kafka: KafkaAddress) -> None:
    make(kafka, "deals")
    send_as_c(kafka, "deals", *"abcdefgh")
    feed = feed_of(kafka, 0)
    take(feed, 8)
    kafka.trim("deals", 5)
    broken = until_broken(feed_of(kafka, 3, digest("c")))
    assert isinstance(broken, MessagesGone)
    assert broken.first == 5
    assert str(broken).startswith("messages 3 to 4 of the topic deals")
    just_enough = feed_of(kafka, 5, digest("e"))
    assert texts(take(just_enough, 3)) == ["f", "g", "h"]
    kafka.trim("deals", -1)
    nothing_more(just_enough)  # it had them all
    send_as_c(kafka, "deals", "i")
    assert texts(take(just_enough, 1)) == ["i"]
    beyond = until_broken(feed_of(kafka, 100))
    assert isinstance(beyond, AnotherHistory)
    feed.close()
    just_enough.close()


@pytest.mark.parametrize("count", [2, 30])
def test_a_topic_made_anew_is_not_taken_for_the_old_one(kafka: KafkaAddress, count: int) -> None:
    """Shorter and longer than the old one."""
    make(kafka, "deals")
    send_as_c(kafka, "deals", *"abcde")
    following, waiting = feed_of(kafka, 0), feed_of(kafka, None)
    take(following, 5)
    until_answered(waiting)
    make(kafka, "deals")
    send_as_c(kafka, "deals", *(str(number) for number in range(count)))
    assert isinstance(until_broken(feed_of(kafka, 5, digest("e"))), AnotherHistory)
    if count < 5:
        assert isinstance(until_broken(following), AnotherHistory)
        assert isinstance(until_broken(waiting), AnotherHistory)
    following.close()
    waiting.close()


def test_a_look_never_waits_for_a_broker() -> None:
    (port,) = free_ports(1)
    feed = feed_of(KafkaAddress(f"127.0.0.1:{port}"), 0)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        begun = time.monotonic()
        assert feed.poll(10) == []
        assert time.monotonic() - begun < POLL_S_MAX
        time.sleep(0.02)
    assert feed.source == "none"
    assert "topic deals at" in (feed.trouble or "")
    begun = time.monotonic()
    feed.close()
    assert time.monotonic() - begun < POLL_S_MAX
