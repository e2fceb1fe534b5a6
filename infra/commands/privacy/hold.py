"""`fairroll hold`."""

import click

from infra.hold.arguments import all_option, by_option, chosen_sites, json_option, short, site_argument
from infra.hold.screen import submit_and_report
from infra.operator_settings import operator_settings
from models.ledger.events import SiteHeld

__all__ = ["hold"]


@click.command()
@site_argument
@all_option
@click.option("--why", required=True, help="For the audit log: at most 200 characters, no names of visitors.")
@by_option
@json_option
def hold(site: str | None, why: str, by: str, *, everywhere: bool, as_json: bool) -> None:
    """Switch face recognition off at a site, until resumed.

    Everything that the site remembers of visitors is erased, with the keys to it; buttons keep serving. A dispenser
    that is offline learns of the hold when it connects, before its camera is used. Repeating a hold is harmless.
    """
    settings = operator_settings()
    chosen = chosen_sites(settings, site, everywhere=everywhere)
    wanted = [(SiteHeld(site=name, why=short(why), by=by), devices) for name, devices in chosen.items()]
    submit_and_report(settings, wanted, as_json=as_json)
