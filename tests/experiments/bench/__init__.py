"""`make bench`: how fast it answers, beside what the brokers alone need, measured in one run."""
