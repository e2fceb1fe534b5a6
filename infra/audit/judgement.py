"""Judges findings: what is allowed at which place, and how old. Pure; readers of places pass their bytes."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from infra.audit.detection import Seen, Sight, redacted, see, see_levels
from infra.audit.report import Finding, Kind, Place, Verdict
from models.keys.seal_chain import SitesReply
from models.keys.seals import Sealed

__all__ = ["NOTHING", "SEAL_SLACK_S", "Known", "Opens", "Suspects", "Tally", "Where", "readable"]

SEAL_SLACK_S: Final = 65
"""A key belongs to a minute, and the key holder destroys it within seconds after that minute and the window."""
_MOST_EXAMPLES = 5
"""most listed findings of a place and a kind"""
_MOST_WORDS = 200_000

NOTHING: Final[frozenset[Seen]] = frozenset()

Opens = Callable[[Sealed], bool]
"""Whether the keys of a decider open it."""
_WHAT: dict[str, str] = {
    "template": "a readable template",
    "embedding": "an embedding",
    "picture": "a picture",
    "key": "a key outside of its place",
    "visitor": "a visitor's pseudonym",
    "sealed": "a sealed template where none may be",
}


class Known(Struct, frozen=True, kw_only=True):
    """The knowledge that judgements are based on."""

    now: float
    """seconds since 1970, by this host's clock, not by the key holder's"""
    facts: SitesReply | None
    """the key holder's facts; None: it does not answer"""
    secrets: tuple[bytes, ...] = ()
    """the texts of the keys in files"""


class Where(NamedTuple):
    """A position within a place. `base`: offset of the bytes in a file; None: a place without offsets."""

    name: str
    base: int | None = None

    def at(self, offset: int) -> str:
        return self.name if self.base is None else f"{self.name}:{self.base + offset}"


class Suspects:
    """Words that may be pseudonyms; the decisions, which are read last, confirm them."""

    def __init__(self) -> None:
        self._words: dict[bytes, dict[Tally, str]] = {}
        self.is_full = False

    def add(self, word: bytes, tally: "Tally", where: str) -> None:
        """Store the first position of a word at a place."""
        if word not in self._words and len(self._words) >= _MOST_WORDS:
            self.is_full = True
            return
        self._words.setdefault(word, {}).setdefault(tally, where)

    def accuse(self, pseudonym: str) -> None:
        """Report a finding at each place with this word: a decision names such a visitor."""
        for tally, where in self._words.pop(pseudonym.encode(), {}).items():
            tally.find("visitor", where, _WHAT["visitor"], pseudonym.encode())

    def doubt(self, why: str) -> None:
        """Mark each place with a suspected word as unread: the visitors are unknown."""
        for places in self._words.values():
            for tally in places:
                tally.why = tally.why or why


class Tally:
    """The findings at one place so far."""

    def __init__(self, name: str, known: Known, suspects: Suspects) -> None:
        self.name, self.known, self._suspects = name, known, suspects
        self.bound_s: float | None = None
        self.why = ""
        self.examples: list[Finding] = []
        self._found: Counter[Kind] = Counter()
        self._seals: Counter[str] = Counter()
        self._inspected = self._bytes = 0
        self._oldest_s: float | None = None
        self._oldest_readable_s: float | None = None
        self._oldest_noise_s: float | None = None

    def scan(
        self,
        where: Where,
        data: bytes,
        *,
        allowed: Iterable[Seen] = NOTHING,
        opens: Opens = lambda _: False,
        window: tuple[int, int] | None = None,
    ) -> None:
        """Inspect a record, message, value or piece of a file that may hold `allowed` only.

        A sealed template is judged by its key and its age even if it is allowed. `window`: the range in which a finding
        must begin; None: anywhere.
        """
        begin, end = window or (0, len(data))
        self._inspected += 1
        self._bytes += end - begin
        self._inspect(where, data, (begin, end), allowed, opens)

    def scan_name(self, where: Where, name: bytes, allowed: Iterable[Seen] = NOTHING) -> None:
        """Inspect a name (key, topic, path), which is not counted as an item."""
        self._inspect(where, name, (0, len(name)), allowed, lambda _: False)
        self.scan_levels(where, name, allowed)

    def scan_levels(self, where: Where, name: bytes, allowed: Iterable[Seen] = NOTHING) -> None:
        """Inspect each level of a topic or a path separately, for findings that the whole hides."""
        for sight in see_levels(name):
            self._judge(sight, where.at(sight.at), allowed, lambda _: False)

    def _inspect(
        self, where: Where, data: bytes, window: tuple[int, int], allowed: Iterable[Seen], opens: Opens
    ) -> None:
        begin, end = window
        for sight in see(data, begin, end):
            self._judge(sight, where.at(sight.at), allowed, opens)
        for secret in self.known.secrets:
            if begin <= (at := data.find(secret, begin)) < end:
                self.find("key", where.at(at), _WHAT["key"], secret)

    def find(self, kind: Kind, where: str, what: str, text: bytes = b"", age_s: float | None = None) -> None:
        """Count a violation, and keep the first ones of a kind as examples."""
        self._found[kind] += 1
        if self._found[kind] <= _MOST_EXAMPLES:
            sha256 = hashlib.sha256(text).hexdigest()[:12] if text else ""
            shown = redacted(where)
            finding = Finding(place=self.name, where=shown, kind=kind, what=what, age_s=age_s, sha256=sha256)
            self.examples.append(finding)

    def age(self, at: float) -> float:
        """Record the time, seconds since 1970, of something that the age limit of the place covers; return its age."""
        age_s = max(0.0, self.known.now - at)
        self._oldest_s = max(age_s, self._oldest_s or 0.0)
        return age_s

    def place(self) -> Place:
        """Return the result of the place."""
        if self._seals["unknown"] and not self.why:
            self.why = "the key holder does not answer, so it is unknown which sealed templates can be read"
        found = self._found.total()
        verdict: Verdict = "violated" if found else "unread" if self.why else "clean"
        return Place(
            name=self.name,
            verdict=verdict,
            inspected=self._inspected,
            bytes=self._bytes,
            findings=found,
            oldest_s=self._oldest_s,
            bound_s=self.bound_s,
            live=self._seals["live"],
            oldest_readable_s=self._oldest_readable_s,
            noise=self._seals["noise"],
            oldest_noise_s=self._oldest_noise_s,
            why=redacted(self.why),
        )

    def _judge(self, sight: Sight, where: str, allowed: Iterable[Seen], opens: Opens) -> None:
        match sight.what:
            case "word":
                if "visitor" not in allowed:
                    self._suspects.add(sight.text, self, where)
            case "sealed":
                sealed = msgspec.json.decode(sight.text, type=Sealed)
                self._judge_sealed(sealed, where, is_open=opens(sealed))
                if "sealed" not in allowed:
                    self.find("sealed", where, _WHAT["sealed"], sealed.box)
            case kind if kind not in allowed:
                self.find(kind, where, _WHAT[kind], sight.text)

    def _judge_sealed(self, sealed: Sealed, where: str, *, is_open: bool) -> None:
        age_s = max(0.0, self.known.now - 60 * sealed.minute)
        how = readable(sealed, self.known, is_open=is_open)
        self._seals[how] += 1
        if how in {"live", "overdue", "held"}:
            self._oldest_readable_s = max(age_s, self._oldest_readable_s or 0.0)
        match how:
            case "noise":
                self._oldest_noise_s = max(age_s, self._oldest_noise_s or 0.0)
            case "live":
                self.age(60 * sealed.minute)
            case "overdue":
                self.age(60 * sealed.minute)
                self.find("overdue", where, "a sealed template that can be read after its window", sealed.box, age_s)
            case "held":
                self.find("overdue", where, "a sealed template of a held site that can be read", sealed.box, age_s)


def readable(sealed: Sealed, known: Known, *, is_open: bool = False) -> str:
    """Return whether it can be read: `noise`, `live`, `overdue`, `held`, or `unknown` without a key holder.

    `is_open`: it was opened, whatever the key holder answers.
    """
    if known.facts is None:
        return "unknown"
    age_s = known.now - 60 * sealed.minute
    for facts in known.facts.sites.values():
        if facts.chain == sealed.chain and facts.oldest is not None and (is_open or sealed.minute >= facts.oldest):
            return "held" if facts.mode != "face" else "live" if age_s <= facts.window_s + SEAL_SLACK_S else "overdue"
    if not is_open:
        return "noise"
    longest_s = max((facts.window_s for facts in known.facts.sites.values()), default=0)  # its chain has just begun
    return "live" if age_s <= longest_s + SEAL_SLACK_S else "overdue"
