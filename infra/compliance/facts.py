"""The facts about a site: its settings, and evidence from a running pipeline."""

from msgspec import Struct, field

from models.contract.face_models import FACE_MODELS, TRILLION
from models.contract.messages import Control, DeviceState, Dispense, Refuse
from models.contract.topics import KafkaTopic, Topics
from models.keys.seal_chain import SiteFacts
from models.ledger.outcomes import Answered, Outcome, Receipt, SiteCounted
from models.ledger.rules.policy import SiteSpec

__all__ = ["Facts", "Live", "Seal", "Traffic"]

_STALE_MS = 60_000
"""A decider counts every 5 s; a restarted one after about ten seconds."""


class Traffic(Struct, kw_only=True):
    """Sums of the site's decisions of the last day: `note` each, in order. A repeated answer counts once."""

    first_at: int | None = None
    """of the first decision that was read, milliseconds since 1970"""
    last_at: int = 0
    faces: int = 0
    """requests by face that were compared with live templates"""
    refused_as_known: int = 0
    """of these: refused because the matching visitor had used up the quota"""
    newcomers: int = 0
    """of these: served as a new visitor"""
    uncompared: int = 0
    """requests by face that were answered by the rules of the button: no key, or no face mode"""
    buttons: int = 0
    faceless_refused: int = 0
    """requests by button and of `uncompared` that were refused"""
    staff: int = 0
    forgets: int = 0
    erased: int = 0
    """templates erased by forget requests"""
    wrongful: float = 0.0
    """upper bound of the `faces` that are expected to match another visitor: for each the live templates times the
    bound of the false match rate at its threshold, 1 at most"""
    models: set[str] = field(default_factory=set)
    counted: SiteCounted | None = None
    """the last count"""
    most_templates: int = 0

    def note(self, outcome: Outcome) -> None:
        self.first_at = self.first_at or outcome.at
        self.last_at = outcome.at
        match outcome:
            case SiteCounted():
                self.counted = outcome
                self.most_templates = max(self.most_templates, outcome.templates)
            case Answered(repeated=False):
                self._note_answer(outcome)
            case _:
                pass

    @property
    def span_s(self) -> float:
        """Seconds that the read decisions span."""
        return (self.last_at - (self.first_at or self.last_at)) / 1000

    def _note_answer(self, answered: Answered) -> None:
        match answered.by:
            case "face" if answered.identity not in {None, "unreadable"}:
                self._note_face(answered)
            case "face" | "button":
                self.uncompared += answered.by == "face"
                self.buttons += answered.by == "button"
                self.faceless_refused += isinstance(answered.command, Refuse)
            case "staff":
                self.staff += 1
            case "forget":
                self.forgets += 1
                self.erased += getattr(answered.command, "erased", 0)
            case "local":
                pass

    def _note_face(self, answered: Answered) -> None:
        self.faces += 1
        self.wrongful += _expected_matches(answered)
        self.models |= {answered.model} if answered.model else set()
        match answered.command:
            case Refuse(reason="quota"):
                self.refused_as_known += 1
            case Dispense() if answered.identity != "same":
                self.newcomers += 1
            case _:
                pass


def _expected_matches(answered: Answered) -> float:
    """Return how many live templates of others the face is expected to match, 1 at most; 1 if that is unknown."""
    model = FACE_MODELS.get(answered.model or "")
    if model is None or answered.crowd is None:
        return 1.0
    if answered.threshold is None:
        return 0.0  # no visitor was recognised
    point = model.at(answered.threshold)
    return min(1.0, answered.crowd * point.false_match / TRILLION) if point else 1.0


class Seal(Struct, frozen=True, kw_only=True):
    """The key holder's reply."""

    at: int
    """by its clock, milliseconds since 1970"""
    site: SiteFacts | None
    """None: it does not know the site"""


class Live(Struct, frozen=True, kw_only=True):
    """Evidence from a running pipeline."""

    topics: list[tuple[KafkaTopic, dict[str, str]]]
    """each topic with its expected settings and those in Kafka; empty: there is no such topic"""
    control: Control | None
    """the site's present control; None: the pipeline has none"""
    states: dict[str, DeviceState]
    """the last state of each dispenser that ever connected"""
    traffic: Traffic
    receipts: list[Receipt]
    """receipts of holds, resumes and new epochs; the oldest first"""
    seal: Seal | None
    """None: the key holder did not answer"""
    unreadable: list[str] = field(default_factory=list)
    """records, of any site, that this version cannot read: position, key and reason"""


class Facts(Struct, frozen=True, kw_only=True):
    """The input of a report."""

    site: str
    spec: SiteSpec
    settings_source: str
    topics: Topics
    mqtt: str
    kafka: str
    at: int
    """when the evidence was gathered, milliseconds since 1970"""
    live: Live | None = None
    """None: offline, without a running pipeline"""

    @property
    def captures_faces(self) -> bool:
        """Whether faces are captured, by the settings or by the present control."""
        modes = {self.spec.mode, self.live.control.mode if self.live and self.live.control else None}
        return "face" in modes

    @property
    def models(self) -> list[str]:
        """The face models that dispensers reported."""
        if self.live is None:
            return []
        reported = {state.model for state in self.live.states.values() if state.online and state.model}
        return sorted(reported | self.live.traffic.models)

    @property
    def counted(self) -> SiteCounted | None:
        """The last count of the site's memory; None if it is older than a minute."""
        counted = self.live.traffic.counted if self.live else None
        return counted if counted and counted.at >= self.at - _STALE_MS else None

    @property
    def uncounted(self) -> str:
        """Why there is no count."""
        return "the decider has not counted lately: fairroll status" if self.live else "no running pipeline was asked"

    def setting(self, name: str) -> str:
        """The position of a setting of the site, for the column of sources."""
        return f"{self.settings_source}, {self.site}, {name}"
