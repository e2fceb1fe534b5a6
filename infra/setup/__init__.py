"""What is created before the first process starts: keys, topics."""
