"""One Apache Kafka broker in KRaft mode, its own controller, on free loopback ports.

with Kafka(directory) as broker:
    broker.create("deals")        # one partition, as the exchange uses it
    broker.messages("deals")      # everything in it
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from tests.servers.process import ServerProcess, free_ports
from tests.support.certificates import Pair, make_certificate

VERSION = "3.9.1"
READY_TIMEOUT_S = 90.0
REQUEST_TIMEOUT_S = 20.0
HEAP = "-Xmx320m"
FAST_START = ("-XX:TieredStopAtLevel=1",)  # compiled once, and not as well as it could be


def jars() -> Path:
    """The directory of the broker and what it needs at run time."""
    named = os.environ.get("VX_TEST_KAFKA_JARS")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "vx-exchange" / f"kafka-{VERSION}"


def is_installed() -> bool:
    return shutil.which("java") is not None and any(jars().glob("kafka_2.13-*.jar"))


class SecureDoor:
    """The door of a broker for those who speak TLS and log in."""

    user, password = "vx", "a password, with 'marks'"

    def __init__(self, brokers: str, certificate: Pair) -> None:
        self.brokers = brokers
        self.certificate = certificate

    def properties(self, directory: Path) -> dict[str, object]:
        """Of the broker's listener SECURE."""
        both = directory / "kafka.pem"
        both.write_text(self.certificate.key.read_text() + self.certificate.certificate.read_text())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        jaas = f'{module} required user_{self.user}="{self.password}";'
        own = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": both,
            "sasl.enabled.mechanisms": "PLAIN",
            "plain.sasl.jaas.config": jaas,
        }
        return {f"listener.name.secure.{name}": value for name, value in own.items()}


class KafkaAddress:
    """A broker that runs. Tests make its topics. `secure`: None if it runs elsewhere."""

    secure: SecureDoor | None = None

    def __init__(self, brokers: str) -> None:
        self.brokers = brokers

    def create(self, *topics: str, config: dict[str, str] | None = None) -> None:
        """Makes topics of one partition."""
        new = [NewTopic(topic, 1, 1, config=config or {}) for topic in topics]
        admin = self._admin()  # it must live until the answer is here
        for future in admin.create_topics(new, operation_timeout=REQUEST_TIMEOUT_S).values():
            future.result(REQUEST_TIMEOUT_S)

    def delete(self, *topics: str) -> None:
        admin = self._admin()
        for future in admin.delete_topics(list(topics), operation_timeout=REQUEST_TIMEOUT_S).values():
            future.result(REQUEST_TIMEOUT_S)

    def trim(self, topic: str, before: int) -> None:
        """Removes the messages before that offset, as retention does."""
        wanted = [TopicPartition(topic, 0, before)]
        admin = self._admin()
        for future in admin.delete_records(wanted).values():
            future.result(REQUEST_TIMEOUT_S)

    def messages(self, topic: str) -> list[Message]:
        """All committed messages that the topic holds now, oldest first."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.brokers,
                "group.id": "tests",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,  # so long wait a look at the end of a topic, and closing
            }
        )
        found: list[Message] = []
        try:
            consumer.list_topics(topic, REQUEST_TIMEOUT_S)  # or it looks for the leader half a second later
            consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
            while True:
                message = consumer.poll(REQUEST_TIMEOUT_S)
                if message is None:
                    raise RuntimeError(f"the broker does not answer for {topic}")
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.name() == "_PARTITION_EOF":
                    return found
                else:
                    raise KafkaException(error)
        finally:
            consumer.close()

    def configure(self, topic: str, **values: str) -> None:
        """Sets options of a topic, their dots written as underscores."""
        resource = ConfigResource(
            ResourceType.TOPIC,
            topic,
            set_config={name.replace("_", "."): value for name, value in values.items()},
        )
        admin = self._admin()
        for future in admin.alter_configs([resource]).values():
            future.result(REQUEST_TIMEOUT_S)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})


class Kafka(KafkaAddress):
    """A broker of the tests' own. `options` of its Java, for one that runs long."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        broker_port, controller_port, secure_port = free_ports(3)
        super().__init__(f"127.0.0.1:{broker_port}")
        self.secure = SecureDoor(f"127.0.0.1:{secure_port}", make_certificate(directory, "kafka"))
        properties = directory / "server.properties"
        listeners = f"PLAINTEXT://{self.brokers},SECURE://{self.secure.brokers}"
        lines = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
            **self.secure.properties(directory),
            "log.dirs": directory / "kafka",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.retention.check.interval.ms": 1000,
            "file.delete.delay.ms": 100,
        }
        properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        java = ["java", HEAP, *FAST_START, "-cp", f"{jars()}/*"]
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
            check=True,
            capture_output=True,
            timeout=READY_TIMEOUT_S,
        )
        self._process = ServerProcess(
            "kafka",
            directory,
            ["java", HEAP, *(options or FAST_START), "-cp", f"{jars()}/*", "kafka.Kafka", str(properties)],
            self._is_ready,
            ready_timeout_s=READY_TIMEOUT_S,
        )

    def __enter__(self) -> Kafka:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()  # nobody needs what it holds

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def suspend(self) -> None:
        self._process.suspend()

    def go_on(self) -> None:
        self._process.go_on()

    def _is_ready(self) -> bool:
        try:
            self._admin().list_topics(timeout=1.0)
        except KafkaException:
            return False
        return True
