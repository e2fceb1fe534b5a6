"""Recording and replaying: what happened, read and folded again. Nothing here can write to Kafka or reach MQTT."""
