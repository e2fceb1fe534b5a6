"""The whole pipeline on one machine: brokers and processes, started in order and stopped together."""
