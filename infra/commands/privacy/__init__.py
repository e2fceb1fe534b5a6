"""Switch face recognition off, and show what is kept."""
