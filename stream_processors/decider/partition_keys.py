"""The keys with which a decider reads templates, while its worker runs."""

import asyncio

from mode import Service

from models.keys.seals import Sealed
from models.ledger.events import Event, Requested
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.runtime.key_client import Keys, open_keys

__all__ = ["WorkerKeys"]


class WorkerKeys(Service):  # type: ignore[misc]  # mode has no types
    """Runs next to the application. Nothing may be read before `ready` returns."""

    def __init__(self, settings: Settings, health: Health) -> None:
        super().__init__()
        self._settings, self._vitals = settings, health
        self._keys: Keys | None = None
        self._asked = asyncio.Event()

    async def on_start(self) -> None:
        self.add_future(self._hold())

    async def ready(self) -> None:
        """Wait until the first request to the key holder has ended, with any result."""
        await self._asked.wait()

    @property
    def is_unreachable(self) -> bool:
        """Whether the key holder does not answer, so that templates may not be readable yet."""
        return self._keys is None or self._keys.is_unreachable

    def unseal(self, site: str, sealed: Sealed, bound_to: bytes, /) -> bytes | None:
        """Return the template; None if its key is destroyed."""
        return self._keys.unseal(site, sealed, bound_to) if self._keys else None

    def destroy(self, site: str) -> None:
        """Destroy a site's keys without waiting for the key holder."""
        if self._keys:
            self._keys.destroy(site)

    async def fetch_for(self, event: Event) -> None:
        """Fetch the key of the event's template; a missing key is reported as a fault."""
        if not isinstance(event, Requested) or event.sealed is None or self._keys is None:
            return
        if not self._keys.covers(event.site, event.sealed):
            await self._keys.fetch(event.site)
        if not self._keys.covers(event.site, event.sealed):
            self._vitals.count("unreadable_templates")
            if not self.is_unreachable:  # else that fault was reported once
                self._vitals.fault(f"the key of a template at {event.site} is destroyed")

    async def _hold(self) -> None:
        """In one task from opening to closing."""
        async with open_keys(self._settings, "decider", self._vitals) as self._keys:
            self._asked.set()
            await self.wait_until_stopped()
