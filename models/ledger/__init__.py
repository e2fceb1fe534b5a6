"""Quota decisions as a pure fold of events over rows."""
