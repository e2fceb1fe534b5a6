"""What dispensers, services and commands share besides the domain: MQTT client, TLS, signals, the sites file."""
