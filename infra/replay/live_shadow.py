"""`fairroll replay --live`: a shadow in the foreground, until it is stopped."""

import asyncio
import re
import signal

import click

from infra.sites.registry import read_registry
from models.errors import ConfigError
from models.metrics.storage import bucket_name
from models.replay.trial_totals import TrialCounts
from models.replay.what_if import Trial
from models.settings import Settings
from stream_processors.replay.live_shadow import follow
from stream_processors.replay.shadow import Shadow, check_windows, policy_of

__all__ = ["shadow"]


async def shadow(settings: Settings, trial: Trial, run: str) -> None:
    """Follow the stream until SIGINT or SIGTERM, then print the differences. Raises FairrollError."""
    if run and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", run):
        raise ConfigError(f"--run {run!r} is not a name of small letters, digits and hyphens")
    sites = await read_registry(settings)
    check_windows(trial, sites)
    bucket, begun = bucket_name(settings.influx_bucket, policy_of(run)), list[Shadow]()

    def begin(one: Shadow) -> None:
        begun.append(one)
        click.echo(f"ready: a shadow in {bucket}, the board Replay shows it; Ctrl-C ends it")

    following = asyncio.ensure_future(follow(settings, trial, sites, run, begin))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    try:
        await following
    except asyncio.CancelledError:
        click.echo(_sentence(begun[0].total if begun else TrialCounts()))


def _sentence(total: TrialCounts) -> str:
    return (
        f"{total.answers:,} answers compared with the trial: {total.changed:,} changed, {total.granted_more:,} granted"
        f" more, {total.refused_more:,} refused more, {total.not_answerable:,} not answerable"
    )
