"""The ring on one machine: Kafka, Triton and the services as child processes of the command that started them."""
