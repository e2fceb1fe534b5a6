"""`fairroll audit`: what can be read on the live system, and should not be there or not any more."""
