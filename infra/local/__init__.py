"""A local stack: brokers and services on one machine, started in order and stopped together."""
