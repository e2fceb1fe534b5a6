"""`fairroll dead-letters`."""

import asyncio
import time
from collections.abc import Sequence

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from infra.dead_letters import Filed, by_reason, read_letters, resubmit
from infra.operator_settings import operator_settings
from infra.time_arguments import Span
from models.contract.topics import Topics
from models.settings import Settings
from stream_processors.runtime.site_file import read_sites

__all__ = ["dead_letters"]


@click.command()
@click.option("--since", "newest_s", type=Span(), default="1h", show_default=True, help="How far back: 90s, 30m, 7d.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line.")
@click.option(
    "--resubmit", "again", is_flag=True, help="Read the kept reports again, with FAIRROLL_SITES as it is now."
)
def dead_letters(newest_s: int, *, as_json: bool, again: bool) -> None:
    """List the messages that could not be read, by reason.

    --resubmit sends the reports among them that can be read now to the decider; repeating it is harmless. Requests are
    never sent again: the visitor left long ago.
    """
    settings = operator_settings()
    if again and as_json:
        raise click.UsageError("--resubmit tells what it does in sentences: leave --json away")
    letters = asyncio.run(read_letters(settings, newest_s))
    if again:
        _resubmit(settings, letters)
    elif as_json:
        for filed in letters:
            click.echo(msgspec.json.encode({"at": filed.at, **msgspec.to_builtins(filed.letter)}))
    else:
        _show(letters, settings.topics)


def _resubmit(settings: Settings, letters: Sequence[Filed]) -> None:
    kept = [filed for filed in letters if filed.letter.payload is not None]
    done = asyncio.run(resubmit(settings, kept, read_sites(settings.sites)))
    for filed, reason in done:
        click.echo(f"{_when(filed)} {_source(filed, settings.topics)}: {f'left: {reason}' if reason else 'sent again'}")
    sent = sum(reason is None for _, reason in done)
    click.echo(f"{sent} sent again, {len(done) - sent} left, {len(letters) - len(kept)} without a payload")


def _show(letters: Sequence[Filed], topics: Topics) -> None:
    console = Console()
    if not letters:
        console.print("no dead letters")
        return
    table = Table("when", Column("source", overflow="fold"), "reason", "bytes", "SHA-256", "kept")
    for filed in letters:
        letter = filed.letter
        kept = "yes" if letter.payload is not None else "no"
        table.add_row(
            _when(filed), Text(_source(filed, topics)), Text(letter.reason), str(letter.size), letter.sha256[:8], kept
        )
    console.print(table)
    for reason, count in by_reason(filed.letter for filed in letters).items():
        console.print(Text(f"{count:6} {reason}"))


def _source(filed: Filed, topics: Topics) -> str:
    return filed.letter.source.removeprefix(f"{topics.mqtt_root}/")


def _when(filed: Filed) -> str:
    return time.strftime("%d %b %H:%M:%S", time.localtime(filed.at))
