"""The Fraud Handbook, measured: the shop's vectors of its transactions, models on them, and all of it through Kafka."""
