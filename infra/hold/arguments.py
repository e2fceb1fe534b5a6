"""The arguments that `fairroll hold` and `fairroll resume` share."""

import getpass

import click

from models.errors import ConfigError
from models.ledger.rules.policy import Sites, SiteSpec

__all__ = ["all_option", "by_option", "chosen_sites", "json_option", "short", "site_argument"]

site_argument = click.argument("site", required=False)
all_option = click.option("--all", "everywhere", is_flag=True, help="Every site of FAIRROLL_SITES.")
json_option = click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line.")
by_option = click.option("--by", default=getpass.getuser, show_default="your login", help="Who is responsible.")


def chosen_sites(sites: Sites, site: str | None, *, everywhere: bool) -> list[tuple[str, SiteSpec]]:
    """The named site or all of them. Raises UsageError or ConfigError where that names none."""
    if (site is None) is not everywhere:
        raise click.UsageError("name one site, or use --all")
    if site is None:
        return list(sites.sites.items())
    if site not in sites.sites:
        raise ConfigError(f"no site {site!r} in FAIRROLL_SITES; there are {', '.join(sorted(sites.sites))}")
    return [(site, sites.sites[site])]


def short(why: str) -> str:
    """The reason as given. Raises UsageError where the event would not hold it."""
    if len(why) > 200:  # noqa: PLR2004 - the event's own bound
        raise click.UsageError(f"--why has {len(why)} characters, at most 200 are kept")
    return why
