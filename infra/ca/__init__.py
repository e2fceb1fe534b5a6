"""The authority of a deployment: its folder, and what it has signed."""
