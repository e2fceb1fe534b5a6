"""What the services share: their life cycle, Kafka and MQTT clients, health, consumer lag, keys."""
