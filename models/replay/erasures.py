"""What was erased after a range of events: a replay of that range must not know it again."""

from collections import defaultdict

from models.contract.face_models import FACE_MODELS
from models.contract.messages import FaceSeen, ForgetAsked
from models.ledger.events import EpochEnded, Event, Requested, SiteConfigured, SiteHeld
from models.ledger.template_index import TemplateIndex
from models.replay.recording import without_template

__all__ = ["Erasures"]


class Erasures:
    """Takes in what happened since, and takes from earlier requests the templates that it erased.

    Whoever asked to be forgotten is compared as the fold compares; where a site was held, went over to buttons or
    ended an epoch, no earlier template of it is left. What they erased within a replay, the fold erases.
    """

    def __init__(self) -> None:
        self._sites: set[str] = set()
        self._forgotten: defaultdict[tuple[str, str, int], TemplateIndex] = defaultdict(TemplateIndex)

    def note(self, event: Event) -> None:
        """Take in a later event, its template opened where it can be."""
        match event:
            case SiteHeld() | EpochEnded():
                self._sites.add(event.site)
            case SiteConfigured() if event.mode == "button" or event.placement == "inside":
                self._sites.add(event.site)
            case Requested(request=ForgetAsked(template=bytes() as template) as request) if (
                request.model in FACE_MODELS
            ):
                index = self._forgotten[event.site, request.model, request.epoch]
                index.put(request.id, template, captured=1)
            case _:
                pass

    def honour(self, event: Event) -> Event:
        """An earlier event without what is erased by now."""
        return without_template(event) if isinstance(event, Requested) and self._is_erased(event) else event

    def _is_erased(self, event: Requested) -> bool:
        request = event.request
        if not isinstance(request, FaceSeen | ForgetAsked) or request.template is None:
            return False
        if event.site in self._sites:
            return True
        index, model = self._forgotten.get((event.site, request.model, request.epoch)), FACE_MODELS.get(request.model)
        match = index.nearest(request.template, horizon=0) if index else None
        return match is not None and model is not None and match.score >= model.same
