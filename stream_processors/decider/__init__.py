"""The decider: a Faust agent that applies quotas with the pure fold of models.ledger."""
