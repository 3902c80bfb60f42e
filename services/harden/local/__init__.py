"""The ring on one machine: Kafka, Triton and the services as processes that live and die with the one that started them."""
