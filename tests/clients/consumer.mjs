// Decisions as they are made:  node consumer.mjs BROKERS GROUP
import { Kafka } from "kafkajs";

const kafka = new Kafka({ brokers: process.argv[2].split(",") });
const consumer = kafka.consumer({ groupId: process.argv[3], readUncommitted: false });
const done = new Set(); // at-least-once: keep these ids beside what you do with a decision
await consumer.connect();
await consumer.subscribe({ topics: ["fraud"], fromBeginning: true });
await consumer.run({
  // an offset is kept once its decision has been acted on
  eachMessage: async ({ message }) => {
    const decision = JSON.parse(message.value);
    if (done.has(decision.decision_id)) return;
    console.log(decision.order_id, decision.action);
    done.add(decision.decision_id);
  },
});
