"""The sites: the operator's file, what Kafka holds of them, and how one becomes the other."""
