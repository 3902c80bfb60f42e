"""The event log: one port, Apache Kafka behind it, and an in-memory broker that ships with the product."""
