"""State of a site in memory: rows, and indexes and sums that are rebuilt from them."""
