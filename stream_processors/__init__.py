"""The pipeline between the brokers: thin shells over models."""
