"""What can go wrong with Kafka, by what has to be done about it.

    KafkaTrouble        try again, with a growing pause
      KafkaAway           nobody answers, or not now
      KafkaNotAllowed     rights, credentials            a person has to look
      KafkaTopicMissing   no such topic or partition     a person has to make it
      KafkaTooLarge       the topic takes no message of that size   a person has to widen it
    KafkaRefused        this process must not write: end, and say why
      KafkaFenced         another writer of this system has taken over
      KafkaAhead          the topics hold more of this system than this directory has sent
      KafkaForeign        the topic is another system's
      KafkaFloorBad       the file with our own position is missing or no good

The library's error codes are sorted here and nowhere else. A code that is not known counts as away: what is
tried again loses nothing.
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError


class KafkaTrouble(Exception):
    """It can not be written or read now. The text says where and what."""


class KafkaAway(KafkaTrouble):
    """The brokers do not answer, or can not do it now."""


class KafkaNotAllowed(KafkaTrouble):
    """The brokers do not let us in, or not do this."""


class KafkaTopicMissing(KafkaTrouble):
    """There is no such topic, or it has no partition 0."""


class KafkaTooLarge(KafkaTrouble):
    """The topic does not take this many bytes at once."""


class KafkaRefused(Exception):
    """This process must not write. The text says why and what to do."""


class KafkaFenced(KafkaRefused):
    """Another writer with our `transactional.id` has begun after us."""


class KafkaAhead(KafkaRefused):
    """The topics hold messages of this system that this directory has not sent."""


class KafkaForeign(KafkaRefused):
    """The topic is written by another system."""


class KafkaFloorBad(KafkaRefused):
    """The file with the position is damaged, another system's, or gone."""


_FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, 90})
"""90 is PRODUCER_FENCED of the protocol, for which the library has no name."""

_MISSING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_TOO_LARGE: Final = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE}
)
_NOT_ALLOWED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)


def is_missing(error: KafkaError) -> bool:
    """Whether it says that there is no such topic."""
    return error.code() in _MISSING


def sort_error(error: KafkaError, where: str) -> KafkaTrouble | KafkaFenced:
    """The library's error as one of ours; `where` names brokers or a topic."""
    code, text = error.code(), f"{where}: {error.str()}"
    if code in _FENCED:
        return KafkaFenced(
            f"{text}: another engine of the same system writes to these topics; only one may run, on one "
            "copy of the data directory"
        )
    if code in _MISSING:
        return KafkaTopicMissing(f"{text}; make the topic, with one partition")
    if code in _TOO_LARGE:
        return KafkaTooLarge(f"{text}; raise max.message.bytes of the topic")
    if code in _NOT_ALLOWED:
        return KafkaNotAllowed(text)
    return KafkaAway(text)
