"""Record, replay and explain decisions. Nothing here reaches MQTT."""
