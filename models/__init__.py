"""The domain: messages, keys, ledger, metrics, replay and face models. No I/O, no clock, no network."""
