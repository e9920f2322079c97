#!/bin/sh
# Makes the three topics: one partition each, because the order of messages is what they are for.
#     kafka-topics.sh BROKER [REPLICATION_FACTOR]
# With more than one broker: replication factor 3, and min.insync.replicas = 2 for the topics.
set -eu
broker=$1
factor=${2:-1}
insync=$(( factor > 1 ? factor - 1 : 1 ))
for topic in balances orders deals; do
    "${KAFKA_TOPICS:-/opt/kafka/bin/kafka-topics.sh}" --bootstrap-server "$broker" --create --if-not-exists \
        --topic "$topic" --partitions 1 --replication-factor "$factor" \
        --config min.insync.replicas="$insync" --config retention.ms=604800000 --config max.message.bytes=1048588
done
