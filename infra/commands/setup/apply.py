"""`fairroll apply`."""

import asyncio
import sys
import time

import click

from infra.hold.arguments import by_option, short
from infra.hold.hold import until_keys_follow
from infra.operator_settings import operator_settings
from infra.sites.application import append_changes, until_registered
from infra.sites.changes import Change, compare, kept, without_removals
from infra.sites.registry import read_registry
from models.process.site_file import read_sites
from models.settings import Settings

__all__ = ["apply"]


@click.command()
@click.option("--remove", is_flag=True, help="Remove the sites and dispensers that the file does not list any more.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--why", default="", help="Of a removal, for the audit log: at most 200 characters.")
@by_option
def apply(why: str, by: str, *, remove: bool, dry_run: bool) -> None:
    """Bring the file of sites to a running pipeline.

    Compares modes, policies and dispensers of FAIRROLL_SITES with what Kafka holds, shows what changes, and writes it.
    Nothing has to be started again. What the file lacks stays unless --remove is given: a removed dispenser is refused
    from then on; of a removed site everything that it remembers is erased, with its keys, and a receipt stays.
    """
    settings = operator_settings()
    wanted = read_sites(settings.sites)
    found = compare(asyncio.run(read_registry(settings)), wanted)
    changes = found if remove else without_removals(found)
    for change in changes:
        click.echo(change)
    if not remove and (names := kept(found)):
        click.echo(f"not in {settings.sites}, kept: {', '.join(names)}; `fairroll apply --remove` removes them")
    if not changes:
        click.echo("nothing changes")
    if changes and not dry_run:
        sys.exit(not asyncio.run(_apply(settings, changes, short(why), by)))


async def _apply(settings: Settings, changes: list[Change], why: str, by: str) -> bool:
    """Whether a decider, and of removed sites the key holder, confirmed it."""
    started = time.monotonic()
    unanswered = await until_registered(settings, await append_changes(settings, changes, why, by))
    for site in sorted(unanswered):
        click.echo(f"{site}: NO DECIDER ANSWERED. The event is stored and will be decided when one works", err=True)
    removed = {change.site for change in changes if change.after is None} - unanswered
    without_keys = await until_keys_follow(settings, dict.fromkeys(removed, False), started)
    for site in sorted(removed - without_keys.keys()):
        click.echo(
            f"{site}: THE KEY HOLDER DOES NOT CONFIRM that its keys are destroyed; see `fairroll status`", err=True
        )
    if not unanswered:
        click.echo(f"applied, {time.monotonic() - started:.2f} s after the append")
    return not unanswered and removed == without_keys.keys()
