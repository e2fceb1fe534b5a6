"""Statements of a report."""

from typing import Literal

from msgspec import Struct

from infra.compliance.rules import Rule

__all__ = ["VERDICTS", "Line", "Section", "Verdict", "counsel", "failed", "judged", "passed", "unseen"]

Verdict = Literal["pass", "fail", "needs counsel", "not checked"]

VERDICTS: dict[Verdict, str] = {
    "pass": "the finding meets the rule, as we understand it",
    "fail": "the finding does not meet the rule, or a required measurement is missing",
    "needs counsel": "whether the fact is enough is a question of law or of weighing",
    "not checked": "it was not read, or no answer came",
}


class Line(Struct, frozen=True, kw_only=True):
    """One fact, and its rule. All texts are plain text."""

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
    """Return a statement on a fact that meets its rule."""
    return Line(fact=fact, found=found, verdict="pass", why=why, rule=rule, source=source)


def failed(fact: str, found: str, why: str, rule: Rule, source: str) -> Line:
    """Return a statement on a fact that does not meet its rule."""
    return Line(fact=fact, found=found, verdict="fail", why=why, rule=rule, source=source)


def counsel(fact: str, found: str, why: str, rule: Rule, source: str) -> Line:
    """Return a statement for counsel to judge."""
    return Line(fact=fact, found=found, verdict="needs counsel", why=why, rule=rule, source=source)


def judged(fact: str, found: str, rule: Rule, source: str, *, passes: bool, good: str, bad: str) -> Line:
    """Return a statement on a fact that passes or fails; `good` and `bad` are the reasons."""
    return passed(fact, found, good, rule, source) if passes else failed(fact, found, bad, rule, source)
