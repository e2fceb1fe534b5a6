"""A simulated fleet of dispensers."""
