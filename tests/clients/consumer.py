"""Decisions as they are made:  python consumer.py BROKERS GROUP"""

import json
import sys

from confluent_kafka import Consumer, KafkaException

consumer = Consumer(
    {
        "bootstrap.servers": sys.argv[1],
        "group.id": sys.argv[2],
        "auto.offset.reset": "earliest",  # where the group has no place yet
        "enable.auto.commit": False,  # the place is kept once the decision has been acted on
        "isolation.level": "read_committed",
    }
)
consumer.subscribe(["fraud"])
done = set()  # at-least-once: keep these ids beside what you do with a decision
while True:
    message = consumer.poll(1.0)
    if message is None:
        continue
    if (error := message.error()) is not None:
        raise KafkaException(error)
    decision = json.loads(message.value() or b"")
    if decision["decision_id"] not in done:
        print(decision["order_id"], decision["action"], flush=True)
        done.add(decision["decision_id"])
    consumer.commit(message=message, asynchronous=False)
