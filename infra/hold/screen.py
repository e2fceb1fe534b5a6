"""A hold or its end, and in sentences what became of it."""

import asyncio
import sys
from collections.abc import Sequence
from typing import assert_never

import click
import msgspec

from infra.environment_file import how_to_find
from infra.hold.hold import Devices, Order, Settled, submit
from infra.local_time import iso_local
from models.ledger.outcomes import Held, Resumed
from models.settings import Settings
from stream_processors.runtime.key_client import read_facts

__all__ = ["submit_and_report"]


def submit_and_report(settings: Settings, wanted: Sequence[tuple[Order, Devices]], *, as_json: bool) -> None:
    """Exit code 1 where a decider or the key holder did not confirm it."""
    done, silent = asyncio.run(_follow(settings, wanted))
    for name in done[0].unreadable if done else ():
        click.echo(f"left out, this version cannot read it: {name}", err=True)
    for settled in done:
        click.echo(msgspec.json.encode(settled) if as_json else _sentences(settled, silent))
    sys.exit(any(settled.receipt is None or settled.keys_s is None for settled in done))


async def _follow(settings: Settings, wanted: Sequence[tuple[Order, Devices]]) -> tuple[list[Settled], str]:
    """What became of it, and what to do where the key holder did not answer at all."""
    done = await submit(settings, wanted)
    if all(settled.keys_s is not None for settled in done) or await read_facts(settings):
        return done, ""
    return done, f"no key holder answers at {settings.key_addresses[0]}; {how_to_find(settings, 'keys')}"


def _sentences(settled: Settled, silent: str) -> str:
    if settled.receipt is None:
        return (
            f"{settled.site}: NO DECIDER ANSWERED. The event is stored and will be decided when one works:"
            " see `fairroll status`, then `fairroll receipts`"
        )
    lines = [f"{settled.site}: {_headline(settled.receipt)}, {settled.decided_s:.2f} s after the append"]
    if settled.keys_s is None:
        why = silent or "the key holder answers, and did not confirm in time; see `fairroll status` and its log"
        lines.append(f"  keys: NOT CONFIRMED: {why}")
    else:
        done = "destroyed" if isinstance(settled.receipt, Held) else "as the mode needs"
        lines.append(f"  keys: {done}, after {settled.keys_s:.2f} s")
    lines += [f"  {device}: confirmed, after {seconds:.2f} s" for device, seconds in settled.confirmed.items()]
    if settled.unconfirmed:
        lines.append(f"  offline, they learn it first when they connect: {', '.join(settled.unconfirmed)}")
    at = iso_local(settled.receipt.at / 1000)
    lines.append(f"  receipt: offset {settled.receipt.offset}, {at}; `fairroll receipts` keeps it")
    return "\n".join(lines)


def _headline(receipt: Held | Resumed) -> str:
    match receipt:
        case Held():
            return (
                f"held; {receipt.templates} templates and {receipt.accounts} accounts are deleted,"
                f" the oldest {receipt.oldest_s:.0f} s old"
            )
        case Resumed():
            return f"resumed in {receipt.mode} mode"
        case unknown:
            assert_never(unknown)
