"""The facts about a site: its settings, and evidence from a running pipeline."""

from msgspec import Struct, field

from models.contract.face_models import FACE_MODELS
from models.contract.messages import Control, DeviceState, Dispense, Refuse
from models.contract.topics import KafkaTopic, Topics
from models.keys.seal_chain import SiteFacts
from models.ledger.outcomes import Answered, Outcome, Receipt, SiteCounted
from models.ledger.rules.policy import SiteSpec

__all__ = ["Facts", "Live", "Seal", "Traffic"]

_STALE_MS = 60_000
"""A decider counts every 5 s; one that was killed counts again after some ten."""


class Traffic(Struct, kw_only=True):
    """What the site's decisions of the last day add up to: `note` each, in order. A repeated answer counts once."""

    first_at: int | None = None
    """of the first decision that was read, milliseconds since 1970"""
    last_at: int = 0
    faces: int = 0
    """requests by face that were compared with those who are remembered"""
    refused_as_known: int = 0
    """of these: refused because a matching visitor had used up their share"""
    newcomers: int = 0
    """of these: served as a new visitor"""
    uncompared: int = 0
    """requests by face that were answered by the rule for buttons: no key, or no face mode"""
    buttons: int = 0
    faceless_refused: int = 0
    """of these two"""
    staff: int = 0
    forgets: int = 0
    erased: int = 0
    """templates that were erased by them"""
    wrongful: float = 0.0
    """at most so many of `faces` are expected to match a stranger: for each the expected number of those who are
    remembered and match, 1 at most, and 1 before the first count was read"""
    models: set[str] = field(default_factory=set)
    counted: SiteCounted | None = None
    """the last count"""
    most_templates: int = 0
    _matches: float = 1.0
    """how many of those who are remembered now a newcomer is expected to match, at most"""

    def note(self, outcome: Outcome) -> None:
        self.first_at = self.first_at or outcome.at
        self.last_at = outcome.at
        match outcome:
            case SiteCounted():
                self.counted = outcome
                self.most_templates = max(self.most_templates, outcome.templates)
                self._matches = outcome.wrongful
            case Answered(repeated=False):
                self._note_answer(outcome)
            case _:
                pass

    @property
    def span_s(self) -> float:
        """How far back what was read goes."""
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
        self.wrongful += min(1.0, self._matches)
        self.models |= {answered.model} if answered.model else set()
        match answered.command:
            case Refuse(reason="quota"):
                self.refused_as_known += 1
            case Dispense() if answered.identity != "same":
                self.newcomers += 1
                model = FACE_MODELS.get(answered.model or "")
                self._matches += model.false_match_rate if model else 1.0
            case _:
                pass


class Seal(Struct, frozen=True, kw_only=True):
    """The key holder's reply."""

    at: int
    """by its clock, milliseconds since 1970"""
    site: SiteFacts | None
    """None: it does not know the site"""


class Live(Struct, frozen=True, kw_only=True):
    """Evidence from a running pipeline."""

    topics: list[tuple[KafkaTopic, dict[str, str]]]
    """each as it should be, and the settings that Kafka has; none: there is no such topic"""
    control: Control | None
    """the site's present control; None: the pipeline has none"""
    states: dict[str, DeviceState]
    """the last word of each dispenser that ever spoke"""
    traffic: Traffic
    receipts: list[Receipt]
    """of holds, of their ends, of new epochs; the oldest first"""
    seal: Seal | None
    """None: the key holder did not answer"""
    unreadable: list[str] = field(default_factory=list)
    """records, of any site, that this version cannot read: where they are, whose, and why"""


class Facts(Struct, frozen=True, kw_only=True):
    """Everything that a report is made of."""

    site: str
    spec: SiteSpec
    sites_file: str
    topics: Topics
    mqtt: str
    kafka: str
    at: int
    """when the evidence was gathered, milliseconds since 1970"""
    live: Live | None = None
    """None: no running pipeline was asked"""

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
        """The last count of what the site remembers; None if there is none within a minute."""
        counted = self.live.traffic.counted if self.live else None
        return counted if counted and counted.at >= self.at - _STALE_MS else None

    @property
    def uncounted(self) -> str:
        """Why there is no count."""
        return "the decider has not counted lately: fairroll status" if self.live else "no running pipeline was asked"

    def setting(self, name: str) -> str:
        """Where a setting of the site stands."""
        return f"{self.sites_file}, sites.{self.site}, {name}"
