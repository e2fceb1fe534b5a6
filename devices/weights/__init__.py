"""Weights of face models: download, import, and their commands."""
