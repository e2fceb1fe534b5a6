"""The dispenser's pure state machine: events in, actions out."""
