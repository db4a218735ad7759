// Orders, one a line, from standard input to Kafka:  node producer.mjs BROKERS < orders.ndjson
import { createInterface } from "node:readline";
import { Kafka, Partitioners } from "kafkajs";

const kafka = new Kafka({ brokers: process.argv[2].split(",") });
const producer = kafka.producer({
  idempotent: true, // no order twice and none out of order, whatever is retried
  maxInFlightRequests: 1,
  createPartitioner: Partitioners.DefaultPartitioner, // Java's
});
await producer.connect();
const messages = [];
for await (const line of createInterface({ input: process.stdin })) {
  messages.push({ key: JSON.parse(line).user_id, value: line });
}
await producer.send({ topic: "orders", acks: -1, messages }); // raises where one was not taken
await producer.disconnect();
