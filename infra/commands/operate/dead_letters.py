"""`fairroll dead-letters`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import click
import msgspec
from rich.console import Console

from infra.dead_letters.reader import Filed, Filter, read_letters, summarize
from infra.dead_letters.resubmission import resubmit
from infra.dead_letters.screen import line_of, screen
from infra.operator_settings import operator_settings
from infra.sites.registry import read_registry
from infra.time_arguments import Span
from models.settings import Settings

__all__ = ["dead_letters"]

_SHOWN = 20


@click.command()
@click.option("--since", "newest_s", type=Span(), default="1h", show_default=True, help="How far back: 90s, 30m, 7d.")
@click.option("--site", default="", help="Only what comes from this site's topics.")
@click.option("--reason", default="", metavar="TEXT", help="Only reasons that contain this text.")
@click.option("--limit", type=click.IntRange(min=0), help=f"List the newest N.  [default: {_SHOWN}; all with --json]")
@click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line.")
@click.option(
    "--resubmit", "again", is_flag=True, help="Read the kept reports again, with the sites that are served now."
)
def dead_letters(newest_s: int, site: str, reason: str, limit: int | None, *, as_json: bool, again: bool) -> None:
    """List the messages that could not be read, by reason.

    The counts come first, then the newest letters. --resubmit sends the reports among them that can be read now to the
    decider; repeating it is harmless. Requests are never sent again: the visitor left long ago.
    """
    settings = operator_settings()
    if again and as_json:
        raise click.UsageError("--resubmit reports in sentences: omit --json")
    letters = read_letters(settings, newest_s, Filter(site=site, reason=reason))
    shown = _SHOWN if limit is None else limit
    if again:
        asyncio.run(_resubmit(settings, letters, shown))
    elif as_json:
        asyncio.run(_write(letters, limit))
    else:
        Console().print(screen(asyncio.run(summarize(letters, shown)), settings.topics))


async def _write(letters: AsyncIterator[Filed], limit: int | None) -> None:
    """Write each letter as it is read, or the newest ones at the end."""
    if limit is None:
        async for filed in letters:
            _echo(filed)
    else:
        for filed in (await summarize(letters, limit)).newest:
            _echo(filed)


def _echo(filed: Filed) -> None:
    click.echo(msgspec.json.encode({"at": filed.at, **msgspec.to_builtins(filed.letter)}))


async def _resubmit(settings: Settings, letters: AsyncIterator[Filed], limit: int) -> None:
    """Name the first letters, and count all."""
    counts: Counter[str] = Counter()

    async def kept() -> AsyncIterator[Filed]:
        async for filed in letters:
            if filed.letter.payload is None:
                counts["unkept"] += 1
            else:
                yield filed

    async for filed, why in resubmit(settings, kept(), await read_registry(settings)):
        if counts["sent"] + counts["left"] < limit:
            click.echo(f"{line_of(filed, settings.topics)}: {f'left: {why}' if why else 'sent again'}")
        counts["left" if why else "sent"] += 1
    if (unnamed := counts["sent"] + counts["left"] - limit) > 0:
        click.echo(f"and {unnamed:,} more (--limit)")
    click.echo(f"{counts['sent']:,} sent again, {counts['left']:,} left, {counts['unkept']:,} without a payload")
