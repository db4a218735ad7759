"""Orders, one a line, from standard input to Kafka:  python producer.py BROKERS < orders.ndjson"""

import json
import sys

from confluent_kafka import KafkaError, Message, Producer

failed: list[KafkaError] = []


def delivered(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        failed.append(error)


producer = Producer(
    {
        "bootstrap.servers": sys.argv[1],
        "enable.idempotence": True,  # no order twice and none out of order, whatever is retried; brings acks=all
        "partitioner": "murmur2_random",  # Java's; librdkafka's own would put a user's orders elsewhere
    }
)
for line in sys.stdin.buffer:
    order = json.loads(line)
    producer.produce("orders", key=order["user_id"], value=line.strip(), on_delivery=delivered)
    producer.poll(0)
unsent = producer.flush(60)
if unsent or failed:
    sys.exit(f"{unsent} orders were not sent, {len(failed)} were refused: {failed[:1]}")
