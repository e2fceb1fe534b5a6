"""Shared by the services: life cycle, Kafka and MQTT clients, health, consumer lag, keys."""
