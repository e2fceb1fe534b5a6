"""`fairroll dead-letters`: messages that could not be read, listed, counted and resubmitted."""
