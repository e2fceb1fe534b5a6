"""The report: facts as lines, as Markdown, and as an HTML page. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape

from markdown_it import MarkdownIt

from infra.compliance.accuracy import errors, protection
from infra.compliance.facts import Facts
from infra.compliance.page import PAGE
from infra.compliance.purpose import alternatives, as_configured, purpose
from infra.compliance.retention import places, times
from infra.compliance.rules import MEASURES, Rule
from infra.compliance.statement import VERDICTS, Line, Section, Verdict

__all__ = ["count", "html", "lines", "markdown", "sections"]

_NO_ADVICE = """\
**This is no legal advice.** It lists facts with rules, as we understand these from summaries: the official texts of
China's Measures, of GB/T 41819 and of the ISO standards were not read in full. A pass is not an approval, and what a
program writes is no impact assessment. Ask counsel before any face is captured."""


def sections(facts: Facts) -> list[Section]:
    """Return all sections in the order of the report; few for a site without faces."""
    made = (purpose(facts), places(facts), times(facts), alternatives(facts), errors(facts), protection(facts))
    return [section for section in (*made, as_configured(facts)) if section.lines]


def lines(sections: Iterable[Section]) -> list[Line]:
    """Return the lines of all sections."""
    return [line for section in sections for line in section.lines]


def count(sections: Iterable[Section]) -> dict[Verdict, int]:
    """Return the number of lines of each verdict."""
    found = Counter(line.verdict for line in lines(sections))
    return {verdict: found[verdict] for verdict in VERDICTS}


def markdown(facts: Facts, sections: list[Section]) -> str:
    """Return the report as CommonMark with tables."""
    return "\n".join(_blocks(facts, sections)) + "\n"


def html(facts: Facts, sections: list[Section]) -> str:
    """Return the same as a self-contained page for screen and print."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = renderer.render(markdown(facts, sections))
    return PAGE.substitute(title=escape(_title(facts)), body=_marked(body))


def _title(facts: Facts) -> str:
    return f"Facts for an impact assessment of {facts.site}"


def _marked(body: str) -> str:
    """Add the class of each verdict, for its colour."""
    verdicts = "|".join(VERDICTS)
    return re.sub(
        f"<strong>({verdicts})</strong>",
        lambda found: f'<strong class="{found[1].replace(" ", "-")}">{found[1]}</strong>',
        body,
    )


def _blocks(facts: Facts, sections: list[Section]) -> Iterator[str]:
    yield f"# {_title(facts)}\n"
    yield f"{_NO_ADVICE}\n"
    yield f"{_cell(_basis(facts))}\n"
    yield from _table("verdict", "lines", "means")
    yield from (_row(f"**{v}**", str(n), VERDICTS[v]) for v, n in count(sections).items())
    for section in sections:
        yield f"\n## {section.title}\n"
        yield from _table("fact", "found", "verdict", "rule", "check it yourself")
        yield from map(_line, section.lines)
    yield "\n## The rules, and where their summaries come from\n"
    yield f"{MEASURES}\n"
    yield from _table("rule", "asks for", "summary from")
    yield from (_row(_cell(r.law), _cell(r.asks), _cell(r.source)) for r in _rules(sections))


def _basis(facts: Facts) -> str:
    at = datetime.fromtimestamp(facts.at / 1000, UTC).strftime("%d %B %Y, %H:%M UTC")
    seen = "the running pipeline" if facts.live else "no running pipeline: what depends on one was not checked"
    simulated = " The sites file marks its dispensers as simulated." if facts.spec.simulated else ""
    policy = facts.spec.policy.version
    return f"Written {at} from {facts.settings_source} (policy {policy}) and {seen}.{simulated}{_left_out(facts)}"


def _left_out(facts: Facts) -> str:
    unreadable = facts.live.unreadable if facts.live else []
    if not unreadable:
        return ""
    return f" {len(unreadable)} records cannot be read by this version and are left out: {'; '.join(unreadable)}."


def _line(line: Line) -> str:
    verdict = f"**{line.verdict}**: {_cell(line.why)}"
    rule = f"{_cell(line.rule.law)}: {_cell(line.rule.asks)}"
    return _row(_cell(line.fact), _cell(line.found), verdict, rule, _cell(line.source))


def _rules(sections: Iterable[Section]) -> list[Rule]:
    """Return each rule once, in the order of the first lines."""
    return list(dict.fromkeys(line.rule for line in lines(sections)))


def _table(*heads: str) -> tuple[str, str]:
    return _row(*heads), _row(*("---" for _ in heads))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Escape plain text as one line of Markdown."""
    return re.sub(r"([\\`*<>|\[\]&~#]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
