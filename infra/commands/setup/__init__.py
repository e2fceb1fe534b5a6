"""Prepare a pipeline and configure it."""
