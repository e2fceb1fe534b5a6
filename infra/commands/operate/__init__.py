"""Inspect a running pipeline and repair it."""
