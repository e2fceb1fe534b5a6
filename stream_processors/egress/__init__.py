"""Egress: from Kafka to MQTT."""
