"""`fairroll receipts`."""

import asyncio
from typing import assert_never

import click
import msgspec
from rich.console import Console

from infra.hold.arguments import json_option
from infra.hold.hold import read_receipts
from infra.local_time import iso_local
from infra.operator_settings import operator_settings
from infra.tables import Table
from infra.time_arguments import Span
from models.ledger.outcomes import EpochBegan, Held, Receipt, Removed, Resumed

__all__ = ["receipts"]


@click.command()
@click.option("--since", "newest_s", type=Span(), default=None, help="How far back: 90s, 30m, 7d. Else all.")
@json_option
def receipts(newest_s: int | None, *, as_json: bool) -> None:
    """List the audit log of holds, resumptions, removals and epochs.

    Each has what was erased, the operator and the reason.
    """
    unreadable: list[str] = []
    found = asyncio.run(read_receipts(operator_settings(), unreadable, newest_s))
    for name in unreadable:
        click.echo(f"left out, this version cannot read it: {name}", err=True)
    if as_json:
        for receipt in found:
            click.echo(msgspec.json.encode(receipt))
        return
    table = Table("when", "site", "what", "templates", "accounts", "by", "why")
    for receipt in found:
        table.add_row(iso_local(receipt.at / 1000), receipt.site, *_columns(receipt))
    Console().print(table if found else "no receipts")


def _columns(receipt: Receipt) -> tuple[str, str, str, str, str]:
    match receipt:
        case Held() | Removed():
            what = "held" if isinstance(receipt, Held) else "removed"
            return what, str(receipt.templates), str(receipt.accounts), receipt.by, receipt.why
        case Resumed():
            return f"resumed: {receipt.mode}", "", "", receipt.by, receipt.why
        case EpochBegan():
            return f"epoch {receipt.epoch}", str(receipt.templates), str(receipt.accounts), "", ""
        case unknown:
            assert_never(unknown)
