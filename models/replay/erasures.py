"""Templates that were erased after the replayed range: a replay must not use them again. Pure."""

from models.contract.face_models import FACE_MODELS
from models.contract.messages import FaceSeen, ForgetRequested
from models.ledger.events import EpochEnded, Event, Requested, SiteConfigured, SiteHeld, SiteRemoved
from models.ledger.state.template_index import TemplateIndex
from models.replay.recording import without_template

__all__ = ["Erasures"]


class Erasures:
    """Collects later erasures and removes the erased templates from earlier requests.

    A request to be forgotten erases what the fold would match with it; a hold, a removal, a change to buttons and the
    end of an epoch erase every earlier template of the site. Erasures within the range are the fold's.
    """

    def __init__(self) -> None:
        self._sites: set[str] = set()
        self._forgotten: dict[tuple[str, str, int], TemplateIndex] = {}

    def note(self, event: Event) -> None:
        """Collect a later event, with its template if that can be read."""
        match event:
            case SiteHeld() | SiteRemoved() | EpochEnded():
                self._sites.add(event.site)
            case SiteConfigured() if event.mode == "button" or event.placement == "inside":
                self._sites.add(event.site)
            case Requested(request=ForgetRequested(template=bytes() as template) as request) if (
                request.model in FACE_MODELS
            ):
                of = event.site, request.model, request.epoch
                index = self._forgotten.setdefault(of, TemplateIndex(FACE_MODELS[request.model].bits))
                index.put(request.id, template, captured=1)
            case _:
                pass

    def apply(self, event: Event) -> Event:
        """Return an earlier event without its template if that is erased."""
        return without_template(event) if isinstance(event, Requested) and self._is_erased(event) else event

    def _is_erased(self, event: Requested) -> bool:
        request = event.request
        if not isinstance(request, FaceSeen | ForgetRequested) or request.template is None:
            return False
        if event.site in self._sites:
            return True
        index, model = self._forgotten.get((event.site, request.model, request.epoch)), FACE_MODELS.get(request.model)
        match = index.nearest(request.template, horizon=0) if index else None
        return match is not None and model is not None and match.score >= model.least_threshold
