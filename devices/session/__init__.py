"""A dispenser on the network: its MQTT connection, its site key, its session."""
