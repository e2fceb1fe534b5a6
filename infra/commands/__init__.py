"""The commands of `fairroll`."""
