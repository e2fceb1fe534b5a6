"""Dead letters as tables: the number for each reason, then the newest."""

from rich.console import RenderableType
from rich.text import Text

from infra.dead_letters.reader import Filed, Summary
from infra.local_time import iso_local
from infra.tables import Table, stacked
from models.contract.topics import Topics

__all__ = ["line_of", "screen"]


def screen(summary: Summary, topics: Topics) -> RenderableType:
    """Return the counts, then the newest letters, the last one at the end."""
    return stacked(_counts(summary), _newest(summary, topics)) if summary.total else Text("no dead letters")


def line_of(filed: Filed, topics: Topics) -> str:
    """Return time and source in a line."""
    return f"{iso_local(filed.at)} {_source(filed, topics)}"


def _counts(summary: Summary) -> Table:
    table = Table("letters", "reason", title=f"{summary.total:,} dead letters")
    for reason, count in summary.reasons.items():
        table.add_row(f"{count:,}", reason)
    return table


def _newest(summary: Summary, topics: Topics) -> Table:
    is_part = len(summary.newest) < summary.total
    title = f"the newest {len(summary.newest):,} (--limit)" if is_part else "all of them"
    table = Table("when", "source", "reason", "bytes", "SHA-256", "kept", title=title)
    for filed in summary.newest:
        letter = filed.letter
        kept = "yes" if letter.payload is not None else "no"
        where = (iso_local(filed.at), _source(filed, topics))
        table.add_row(*where, letter.reason, str(letter.size), letter.sha256[:8], kept)
    return table


def _source(filed: Filed, topics: Topics) -> str:
    return filed.letter.source.removeprefix(f"{topics.mqtt_root}/")
