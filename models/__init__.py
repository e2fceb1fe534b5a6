"""The domain: messages, keys, ledger, metrics, replay, face models; and what devices and services share."""
