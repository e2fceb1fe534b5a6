"""`fairroll resume`."""

import click

from infra.hold.arguments import all_option, by_option, chosen_sites, json_option, short, site_argument
from infra.hold.screen import submit_and_report
from infra.operator_settings import operator_settings
from models.ledger.events import SiteResumed

__all__ = ["resume"]


@click.command()
@site_argument
@all_option
@click.option("--why", default="", help="For the audit log: at most 200 characters.")
@by_option
@json_option
def resume(site: str | None, why: str, by: str, *, everywhere: bool, as_json: bool) -> None:
    """End a hold: the site works as it is configured."""
    settings = operator_settings()
    chosen = chosen_sites(settings, site, everywhere=everywhere)
    wanted = [(SiteResumed(site=name, why=short(why), by=by), devices) for name, devices in chosen.items()]
    submit_and_report(settings, wanted, as_json=as_json)
