"""Sealing of templates at ingress; a template that cannot be sealed is dropped."""

import secrets
from typing import Protocol

from msgspec import structs

from models.contract.messages import Control, FaceSeen, ForgetRequested, Request
from models.errors import FairrollError
from models.keys.seals import NONCE_BYTES, Sealed, binding

__all__ = ["NoKey", "SealingKeys", "Seals"]


class NoKey(FairrollError):
    """The pipeline's fault: the site is in face mode and there is no key to seal with."""


class SealingKeys(Protocol):
    """Keys that seal in the present minute."""

    def seal(self, site: str, template: bytes, binding: bytes, nonce: bytes) -> Sealed | None:
        """Seal a template; None without a key for the site."""
        ...

    def has(self, site: str) -> bool:
        """Return whether there is a key for the site."""
        ...

    async def fetch(self, site: str) -> None:
        """Request the key; returns immediately if the last request was too recent."""
        ...

    def destroy(self, site: str) -> None:
        """Destroy the keys of the site."""
        ...


class Seals:
    """Follows the controls: only templates of sites in face mode are sent to Kafka."""

    def __init__(self, keys: SealingKeys) -> None:
        self._keys = keys
        self._with_faces: set[str] = set()

    def follow(self, site: str, control: Control | None) -> None:
        """Apply a control; None: the site was removed."""
        if control and control.mode == "face":
            self._with_faces.add(site)
        else:
            self._with_faces.discard(site)
            self._keys.destroy(site)

    async def fetch_for(self, site: str) -> None:
        """Fetch a key before the first face of a site that just entered face mode."""
        if site in self._with_faces and not self._keys.has(site):
            await self._keys.fetch(site)

    def take(self, site: str, device: str, request: Request) -> tuple[Request, Sealed | None]:
        """Remove the template from a request and seal it. Without it a face is decided by the rules of the button.

        Raises NoKey for a request to be forgotten without a key: passed on without the template,
        the request would be answered and nothing erased.
        """
        if not isinstance(request, FaceSeen | ForgetRequested) or request.template is None:
            return request, None
        bare = structs.replace(request, template=None)
        if site not in self._with_faces:
            return bare, None
        bound = binding(site, device, request.id)
        sealed = self._keys.seal(site, request.template, bound, secrets.token_bytes(NONCE_BYTES))
        if sealed is None and isinstance(request, ForgetRequested):
            raise NoKey(f"no key for a template of {site}: its dispenser asks again")
        return bare, sealed
