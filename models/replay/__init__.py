"""Recordings, and the same fold run over them again: replay, explain, what-if. Pure."""
