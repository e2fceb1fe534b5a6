"""The boot id of the machine of a dispenser."""

from pathlib import Path

__all__ = ["boot_id"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux: a new value at each boot (random(4))."""


def boot_id() -> str:
    """Return the id of the current boot, which is also the scope of the monotonic clock; "" if it is unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
