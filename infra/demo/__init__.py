"""`fairroll demo`: one request after another on real brokers."""
