"""The journal: the dispenser state that survives a power cut."""
