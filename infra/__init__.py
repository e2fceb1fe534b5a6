"""The `fairroll` command: local stack, set-up, operation, audit, compliance, replay."""
