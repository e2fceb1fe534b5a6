"""The screen of a replay: a progress bar while it runs, and tables after."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from infra.tables import Table, stacked
from models.replay.replay import Comparison, IdentitySource
from models.replay.summary import Tally
from stream_processors.replay.player import Source

__all__ = ["progress_bar", "summary"]

_EVERY: Final = 512
"""events between two updates of the bar"""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} events/s")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows done and total events, on standard error if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            if done % _EVERY == 0 or done == total:
                progress.update(task, completed=done, total=total)

        yield report


def summary(tally: Tally, source: Source) -> Group:
    """Return the counts, and sentences on their basis."""
    return stacked(_comparisons(tally), _answers(tally), Text("\n".join(_sentences(tally, source))))


def _comparisons(tally: Tally) -> Table:
    """Counts of replayed events by comparison with the recorded outcomes."""
    words = tuple(Comparison)
    table = Table("replayed", *words)
    for kind in sorted(tally.comparison):
        table.add_row(kind, *(f"{tally.comparison[kind].get(word, 0):,}" for word in words))
    return table


def _answers(tally: Tally) -> Table:
    table = Table("answer", "times")
    for answer, times in sorted(tally.answers.items()):
        table.add_row(answer, f"{times:,}")
    return table


def _sentences(tally: Tally, source: Source) -> Iterator[str]:
    by_template, by_record = (
        tally.identity_sources.get(known, 0) for known in (IdentitySource.TEMPLATE, IdentitySource.RECORD)
    )
    yield f"Who asked: {by_template:,} answers by their templates, {by_record:,} by the record of the decisions."
    if tally.unproven:
        yield (f"{tally.unproven:,} answers are not provable: a grant before the recording may have counted.")
    if source.recording.devices:
        yield f"It holds only {', '.join(source.recording.devices)}: what other dispensers gave is not known."
    if source.recording.guessed:
        yield f"How these sites worked before is not known any more: {', '.join(source.recording.guessed)}."
    if source.unreadable:
        yield f"{source.unreadable:,} unreadable events are left out."
    for failure, times in tally.failures.items():
        yield f"{times:,} times {failure}"
    yield "Nothing was sent anywhere."
