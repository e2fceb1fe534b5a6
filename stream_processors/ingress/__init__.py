"""Ingress: from MQTT to Kafka."""
