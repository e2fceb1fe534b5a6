"""The newest state of each dispenser, from the records of the states topic. Pure."""

import re
from collections.abc import Iterator, Mapping

from models.contract.codec import decode_state
from models.contract.messages import DeviceState
from models.contract.topics import NAME_PATTERN
from models.errors import MalformedMessage

__all__ = ["States", "dispenser_of_key", "state_key"]


class States(Mapping[str, DeviceState]):
    """The newest state of each dispenser, by `site/device`.

    Two ingresses may append two states in the wrong order, so the sequence decides which one is newer.
    """

    def __init__(self) -> None:
        self._newest: dict[str, DeviceState] = {}

    def take(self, key: bytes | None, value: bytes | None) -> str | None:
        """Apply a record, in the order of its partition; return `site/device`, or None for an outdated record.

        A record without a value removes the dispenser. Raises MalformedMessage for an unreadable record.
        """
        dispenser = state_key(*dispenser_of_key(key))
        if not value:
            self._newest.pop(dispenser, None)
            return dispenser
        state = decode_state(value)
        if dispenser in self._newest and state.is_older_than(self._newest[dispenser]):
            return None
        self._newest[dispenser] = state
        return dispenser

    def __getitem__(self, dispenser: str) -> DeviceState:
        return self._newest[dispenser]

    def __iter__(self) -> Iterator[str]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)


def state_key(site: str, device: str) -> str:
    """Return the key of a dispenser's records."""
    return f"{site}/{device}"


def dispenser_of_key(key: bytes | None) -> tuple[str, str]:
    """Return the site and the device of a record's key; raises MalformedMessage if the key is invalid."""
    match (key or b"").decode(errors="replace").split("/"):
        case [site, device] if re.match(NAME_PATTERN, site) and re.match(NAME_PATTERN, device):
            return site, device
        case _:
            raise MalformedMessage("its key is no site/device")
