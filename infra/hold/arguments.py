"""The arguments that `fairroll hold` and `fairroll resume` share."""

import asyncio
import getpass

import click

from infra.hold.hold import Devices
from infra.sites.registry import find_sites
from models.settings import Settings

__all__ = ["all_option", "by_option", "chosen_sites", "json_option", "short", "site_argument"]

site_argument = click.argument("site", required=False)
all_option = click.option("--all", "everywhere", is_flag=True, help="Every site that has a control.")
json_option = click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line.")
by_option = click.option("--by", default=getpass.getuser, show_default="your login", help="Who is responsible.")


def chosen_sites(settings: Settings, site: str | None, *, everywhere: bool) -> dict[str, Devices]:
    """Return the named site or all of them, with their dispensers, as Kafka knows them; no file is needed.

    Raises UsageError or ConfigError where that names none, and KafkaAway.
    """
    if (site is None) is not everywhere:
        raise click.UsageError("name one site, or use --all")
    return asyncio.run(find_sites(settings, site))


def short(why: str) -> str:
    """The reason as given. Raises UsageError where the event would not hold it."""
    if len(why) > 200:  # noqa: PLR2004 - the event's own bound
        raise click.UsageError(f"--why has {len(why)} characters, at most 200 are kept")
    return why
