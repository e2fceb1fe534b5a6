"""Access to templates: recordings of real sites contain none, replays open those whose keys still exist."""

from collections.abc import Callable

from msgspec import structs

from models.contract.face_models import is_synthetic
from models.contract.messages import FaceSeen, ForgetRequested
from models.ledger.events import Event, Requested
from models.ledger.rules.policy import Sites
from models.replay.erasures import Erasures
from models.replay.recording import without_template
from stream_processors.decider.ledger import Unseal, opened

__all__ = ["Treat", "none_at_all", "of_simulated_sites", "still_remembered"]

Treat = Callable[[Event], Event]
"""Applied to an event when it is read: opens its template or removes it."""


def none_at_all(event: Event) -> Event:
    """Remove every template."""
    return without_template(event) if isinstance(event, Requested) else event


def of_simulated_sites(sites: Sites, keys: Unseal) -> Treat:
    """Open templates of synthetic models at sites marked `simulated`; remove all others."""

    def treat(event: Event) -> Event:
        if not isinstance(event, Requested):
            return event
        spec = sites.sites.get(event.site)
        request, is_simulated = event.request, spec is not None and spec.simulated
        if is_simulated and isinstance(request, FaceSeen | ForgetRequested) and is_synthetic(request.model):
            return _open(event, keys)
        return without_template(event)

    return treat


def still_remembered(keys: Unseal, erasures: Erasures) -> Treat:
    """Open every template whose key exists and that was not erased later."""
    return lambda event: erasures.apply(_open(event, keys))


def _open(event: Event, keys: Unseal) -> Event:
    """Open the template and drop the sealed one."""
    event = opened(event, keys)
    return structs.replace(event, sealed=None) if isinstance(event, Requested) else event
