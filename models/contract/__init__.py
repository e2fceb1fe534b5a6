"""The wire contract: MQTT messages, topics, their codec, and dead letters."""
