"""The metrics sink: from Kafka to InfluxDB."""
