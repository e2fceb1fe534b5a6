"""Dashboards and alerts as code: `python -m grafana` writes the files that Grafana reads."""
