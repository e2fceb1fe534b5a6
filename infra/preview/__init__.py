"""`fairroll preview`: dashboards drawn without Grafana."""
