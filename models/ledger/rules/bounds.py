"""Bounds of a site's memory and rows, which hold for any behaviour of visitors and dispensers."""

__all__ = [
    "ENTRIES_PER_ROW",
    "LARGEST_ROW_BYTES",
    "MOST_ANSWERS",
    "MOST_DISPENSERS",
    "MOST_FORGOTTEN",
    "MOST_GRANTS",
    "MOST_UNMATCHED",
]

ENTRIES_PER_ROW = 16
"""Entries in one dispenser's row: about 2 kB of changelog a decision, however busy the dispenser."""
MOST_GRANTS = 64
"""Grants of one visitor within a window, given-back ones included: entries in one visitor's row."""
MOST_FORGOTTEN = 1_024
"""Entries that the row of a forgotten visitor takes over from other rows."""
MOST_ANSWERS = 1_024
"""Remembered answers of one dispenser within a window that count against no limit: refusals, portions to staff,
receipts. A repetition of one beyond the bound is decided again."""
MOST_UNMATCHED = 1_024
"""Reports of one dispenser within a window about unknown requests; those beyond the bound change no account. Ours gives
at most `ration_budget_cm` of local rations in a window."""
MOST_DISPENSERS = 1_000
"""Dispensers of one site: its row lists them, in 66 kB at most."""
LARGEST_ROW_BYTES = 384 * 1024
"""No row is larger when it is encoded: the largest is a forgotten visitor's, of 1,025 entries of 280 bytes and 1,023
offsets. aiokafka refuses records above 1 MiB (`max_request_size`), as brokers do by default (`message.max.bytes`)."""
