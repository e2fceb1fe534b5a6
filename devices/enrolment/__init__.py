"""How a dispenser gets its certificate: its key never leaves it."""
