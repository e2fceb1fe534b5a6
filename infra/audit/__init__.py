"""`fairroll audit`: searches the live system for readable data that must not be there, or not any more."""
