"""The commands with which operators switch a site's face recognition off and on again."""

import asyncio
import getpass
import sys
import time
from collections.abc import Sequence
from typing import assert_never

import click
import msgspec
from rich.console import Console
from rich.table import Table

from infra.commands.operate import Span, operator_settings
from infra.hold.hold import Said, Settled, read_receipts, say
from models.errors import ConfigError
from models.ledger.events import SiteHeld, SiteResumed
from models.ledger.outcomes import EpochBegan, Held, Receipt, Resumed
from models.ledger.policy import Sites, SiteSpec
from models.settings import Settings
from stream_processors.runtime.site_file import read_sites

__all__ = ["hold", "receipts", "resume"]

_site = click.argument("site", required=False)
_all = click.option("--all", "everywhere", is_flag=True, help="Every site of FAIRROLL_SITES.")
_json = click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line.")
_by = click.option("--by", default=getpass.getuser, show_default="your login", help="Who is responsible.")


@click.command()
@_site
@_all
@click.option("--why", required=True, help="For the audit log: at most 200 characters, no names of visitors.")
@_by
@_json
def hold(site: str | None, why: str, by: str, *, everywhere: bool, as_json: bool) -> None:
    """Switch face recognition off at a site, now and until `fairroll resume`.

    All that is remembered of visitors is gone, with the keys to it; buttons keep serving. Dispensers that are offline
    learn it when they connect, before their camera looks at anybody. Saying it again is harmless.
    """
    settings = operator_settings()
    chosen = _chosen(read_sites(settings.sites), site, everywhere=everywhere)
    _say(settings, [(SiteHeld(site=name, why=_short(why), by=by), spec) for name, spec in chosen], as_json=as_json)


@click.command()
@_site
@_all
@click.option("--why", default="", help="For the audit log: at most 200 characters.")
@_by
@_json
def resume(site: str | None, why: str, by: str, *, everywhere: bool, as_json: bool) -> None:
    """End a hold: the site works again as it is configured, and knows nobody."""
    settings = operator_settings()
    chosen = _chosen(read_sites(settings.sites), site, everywhere=everywhere)
    _say(settings, [(SiteResumed(site=name, why=_short(why), by=by), spec) for name, spec in chosen], as_json=as_json)


@click.command()
@click.option("--since", "newest_s", type=Span(), default=None, help="How far back: 90s, 30m, 7d. Else all.")
@_json
def receipts(newest_s: int | None, *, as_json: bool) -> None:
    """List the audit log: every hold, every end of one, every new epoch, with what was erased."""
    found = asyncio.run(read_receipts(operator_settings(), newest_s))
    if as_json:
        for receipt in found:
            click.echo(msgspec.json.encode(receipt))
        return
    table = Table("when", "site", "what", "templates", "accounts", "by", "why")
    for receipt in found:
        table.add_row(_when(receipt), receipt.site, *_told(receipt))
    Console().print(table if found else "no receipts")


def _chosen(sites: Sites, site: str | None, *, everywhere: bool) -> list[tuple[str, SiteSpec]]:
    if (site is None) is not everywhere:
        raise click.UsageError("name one site, or say --all")
    if site is None:
        return list(sites.sites.items())
    if site not in sites.sites:
        raise ConfigError(f"no site {site!r} in FAIRROLL_SITES; there are {', '.join(sorted(sites.sites))}")
    return [(site, sites.sites[site])]


def _short(why: str) -> str:
    if len(why) > 200:  # noqa: PLR2004 - the event's own bound
        raise click.UsageError(f"--why has {len(why)} characters, at most 200 are kept")
    return why


def _say(settings: Settings, wanted: Sequence[tuple[Said, SiteSpec]], *, as_json: bool) -> None:
    """Exit code 1 where a decider or the key holder did not confirm it."""
    done = asyncio.run(say(settings, wanted))
    for settled in done:
        click.echo(msgspec.json.encode(settled) if as_json else _sentences(settled))
    sys.exit(any(settled.receipt is None or settled.keys_s is None for settled in done))


def _sentences(settled: Settled) -> str:
    if settled.receipt is None:
        return (
            f"{settled.site}: NO DECIDER ANSWERED. What you said is kept and will be decided when one works:"
            " look at `fairroll status`, then at `fairroll receipts`"
        )
    lines = [f"{settled.site}: {_headline(settled.receipt)}, {settled.decided_s:.2f} s after it was said"]
    if settled.keys_s is None:
        lines.append("  keys: THE KEY HOLDER DOES NOT CONFIRM IT; look at `fairroll status`")
    else:
        done = "destroyed" if isinstance(settled.receipt, Held) else "as the mode needs"
        lines.append(f"  keys: {done}, after {settled.keys_s:.2f} s")
    lines += [f"  {device}: told, after {seconds:.2f} s" for device, seconds in settled.told.items()]
    if settled.not_told:
        lines.append(f"  offline, they learn it first when they connect: {', '.join(settled.not_told)}")
    lines.append(f"  receipt: offset {settled.receipt.offset}, {_when(settled.receipt)}; `fairroll receipts` keeps it")
    return "\n".join(lines)


def _headline(receipt: Held | Resumed) -> str:
    match receipt:
        case Held():
            return (
                f"held; {receipt.templates} templates and {receipt.accounts} accounts are gone,"
                f" the oldest {receipt.oldest_s:.0f} s old"
            )
        case Resumed():
            return f"resumed in {receipt.mode} mode"
        case unknown:
            assert_never(unknown)


def _told(receipt: Receipt) -> tuple[str, str, str, str, str]:
    match receipt:
        case Held():
            return "held", str(receipt.templates), str(receipt.accounts), receipt.by, receipt.why
        case Resumed():
            return f"resumed: {receipt.mode}", "", "", receipt.by, receipt.why
        case EpochBegan():
            return f"epoch {receipt.epoch}", str(receipt.templates), str(receipt.accounts), "", ""
        case unknown:
            assert_never(unknown)


def _when(receipt: Receipt) -> str:
    return time.strftime("%d %b %H:%M:%S", time.localtime(receipt.at / 1000))
