"""The batch transport: Faust and aiokafka, one event per fetched batch, and every way in which Kafka is reached.

`app.py` builds the Faust app, `partitions.py` runs one coroutine per assigned partition with a `source.py` of its own,
`sink.py` publishes in either delivery, `log.py` reads logs beside the consumer. The price: private methods of two
pinned libraries are overridden; `tests/contract/test_faust_internals.py` names each of them and fails at an upgrade.
"""
