"""The output of replays for operators: progress, tables, pictures."""
