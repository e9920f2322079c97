"""The message topics of the C system in Apache Kafka: one writer, any number of feeds."""
