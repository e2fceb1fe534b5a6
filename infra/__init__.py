"""How fairroll is run."""
