"""The rules that facts are checked against: the demand of a law or a standard in short, and the source of the summary.

Summaries, not the official texts (docs/field.md).
"""

from msgspec import Struct

__all__ = [
    "AI_ACT",
    "ALTERNATIVE",
    "ASSESSMENT",
    "CONSENT",
    "DELETION",
    "EDPB",
    "FILING",
    "GDPR",
    "GUARDIANS",
    "IRREVERSIBILITY",
    "MEASURES",
    "NECESSITY",
    "NOTICE",
    "PRESENTATION",
    "PRIVATE_SPACES",
    "RENEWABILITY",
    "RETENTION",
    "TRANSMISSION",
    "UNLINKABILITY",
    "Rule",
]

_FIELD = "docs/field.md, Law and standards"
_MEASURES = "China's Measures"

MEASURES = "China's Measures are the Security Management Measures for facial recognition, in force since 2025-06-01."


class Rule(Struct, frozen=True, kw_only=True):
    """One demand of a law or a standard."""

    law: str
    """with its article if known"""
    asks: str
    source: str = _FIELD
    """where this summary comes from"""


NECESSITY = Rule(law=_MEASURES, asks="a necessity for it")
CONSENT = Rule(law=_MEASURES, asks="separate consent")
ASSESSMENT = Rule(law=_MEASURES, asks="an impact assessment first")
ALTERNATIVE = Rule(law=f"{_MEASURES}, Art. 10", asks="a face is never the only method")
PRIVATE_SPACES = Rule(
    law=_MEASURES, asks="no devices inside private spaces such as public toilets, bathrooms and changing rooms"
)
TRANSMISSION = Rule(
    law=_MEASURES, asks="storage on the device; no transmission over the internet without law or consent"
)
RETENTION = Rule(law=_MEASURES, asks="minimal retention")
FILING = Rule(
    law=f"{_MEASURES}, Art. 15",
    asks="filing when the stored faces reach 100,000 people, counted over all that an operator runs",
    source=f"{_FIELD}; china-briefing.com/news/using-facial-recognition-in-china-new-guide-on-filing-with-local-cac,"
    " shanghai-en.dacheng.com/Party_2/996.html (how people are counted)",
)
NOTICE = Rule(law="China, PIPL Art. 26", asks="in public places a purpose of public security and a clear notice")
GUARDIANS = Rule(
    law="China, PIPL Art. 31", asks="under 14 a guardian's consent", source="docs/site-template.toml, a site for minors"
)
DELETION = Rule(law="GB/T 41819 (draft)", asks="delete face images immediately")
GDPR = Rule(law="EU, GDPR Art. 9", asks="a ground such as consent, with an equal way without biometrics")
EDPB = Rule(law="EU, EDPB opinion 11/2024", asks="no one-to-many storage held by the operator, even for 48 h")
AI_ACT = Rule(law="EU, AI Act, Annex III", asks="duties of high-risk systems from 2027-12-02")
IRREVERSIBILITY = Rule(law="ISO/IEC 24745", asks="templates that cannot be turned back")
UNLINKABILITY = Rule(law="ISO/IEC 24745", asks="templates that cannot be linked")
RENEWABILITY = Rule(law="ISO/IEC 24745", asks="templates that can be revoked and renewed")
PRESENTATION = Rule(law="ISO/IEC 30107-3", asks="attacks by presentation, measured as APCER and BPCER")
