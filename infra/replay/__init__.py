"""How replays are shown to operators: progress, tables, pictures."""
