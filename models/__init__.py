"""What is said, known and decided: no I/O, no clock, no network."""
