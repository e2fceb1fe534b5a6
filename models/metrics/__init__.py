"""The measurements that are written to InfluxDB, and how a point is formed."""
