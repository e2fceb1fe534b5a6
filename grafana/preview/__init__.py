"""The committed dashboards drawn without Grafana: from their JSON and what InfluxDB answers to a page. Pure."""
