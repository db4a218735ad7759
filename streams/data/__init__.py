"""Data in and out by hand: produce, consume, replay and the dead letters, as functions that the commands call.

Everything here speaks Kafka through aiokafka alone, on Apache Kafka and on the embedded broker alike; nothing here
knows what a feature or a decision is.
"""
