"""The dispenser on the network: MQTT connection, site key file, session."""
