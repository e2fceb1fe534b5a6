"""Statements of a report."""

from typing import Literal

from msgspec import Struct

from infra.compliance.rules import Rule

__all__ = ["VERDICTS", "Line", "Section", "Verdict", "counsel", "failed", "judged", "passed", "unseen"]

Verdict = Literal["pass", "fail", "needs counsel", "not checked"]

VERDICTS: dict[Verdict, str] = {
    "pass": "what was found answers the rule, as we understand it",
    "fail": "what was found does not answer the rule, or what the rule wants measured is not",
    "needs counsel": "the fact is here, and whether it is enough is a question of law or of weighing",
    "not checked": "nothing was asked, or no answer came",
}


class Line(Struct, frozen=True, kw_only=True):
    """One fact, and the rule that it answers. All texts are plain."""

    fact: str
    found: str
    verdict: Verdict
    why: str
    rule: Rule
    source: str
    """the command, setting or file that shows it"""


class Section(Struct, frozen=True, kw_only=True):
    """Lines that belong together."""

    title: str
    lines: list[Line]


def unseen(fact: str, rule: Rule, source: str, why: str = "no running pipeline was asked") -> Line:
    """Return a statement on an unchecked fact, which never passes."""
    return Line(fact=fact, found="-", verdict="not checked", why=why, rule=rule, source=source)


def passed(fact: str, found: str, why: str, rule: Rule, source: str) -> Line:
    """A fact that answers its rule."""
    return Line(fact=fact, found=found, verdict="pass", why=why, rule=rule, source=source)


def failed(fact: str, found: str, why: str, rule: Rule, source: str) -> Line:
    """A fact that does not."""
    return Line(fact=fact, found=found, verdict="fail", why=why, rule=rule, source=source)


def counsel(fact: str, found: str, why: str, rule: Rule, source: str) -> Line:
    """Return a statement for counsel to judge."""
    return Line(fact=fact, found=found, verdict="needs counsel", why=why, rule=rule, source=source)


def judged(fact: str, found: str, rule: Rule, source: str, *, passes: bool, good: str, bad: str) -> Line:
    """A fact that passes or fails; `good` and `bad` say why."""
    return passed(fact, found, good, rule, source) if passes else failed(fact, found, bad, rule, source)
