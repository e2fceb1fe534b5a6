"""mosquitto for a deployment: its configuration, its access rules, its certificate."""
