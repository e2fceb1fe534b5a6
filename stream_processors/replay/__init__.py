"""Recording and replay of events. Nothing here can write to Kafka or connect to MQTT."""
