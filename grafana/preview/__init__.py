"""Renders the committed dashboards without Grafana, from their JSON and the results of their queries. Pure."""
