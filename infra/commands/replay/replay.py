"""`fairroll replay`. It connects to no MQTT broker and sends nothing to Kafka."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct, structs
from rich.console import Console

from infra.operator_settings import replay_settings
from infra.replay.kafka_errors import run_replay
from infra.replay.keyboard import space_bar
from infra.replay.live_shadow import shadow
from infra.replay.output import ReplayOutput, Sheet
from infra.replay.screen import progress_bar, summary
from infra.replay.what_if import Shown, Thresholds, try_out, what_is_tried
from infra.sites.registry import read_registry
from infra.time_arguments import Moment
from models.errors import ConfigError
from models.replay.replay import Replay
from models.replay.summary import Filter
from models.replay.what_if import Trial
from models.settings import Settings
from stream_processors.replay.kafka_source import time_of
from stream_processors.replay.pace import Pace
from stream_processors.replay.player import play
from stream_processors.replay.sources import KAFKA, SourceSpec, open_source

__all__ = ["replay"]

_SPEEDS = {"max": None, "1x": 1.0, "60x": 60.0}
_STOPPED = 130
"""The exit code after SIGINT, by the convention of shells."""
_NAMES: dict[str, Any] = {"multiple": True, "metavar": "NAME"}


class _Stopped(Struct, frozen=True, kw_only=True):
    """Where a replay was stopped: its arguments and next offsets, without ledger and outcomes."""

    asked: SourceSpec
    filter: Filter
    sheet: Sheet | None
    mark: str = ""
    """identifies the content of the source; "": it has not begun"""
    next: dict[int, int] = {}
    """the next offset of each partition"""


@click.command()
@click.argument("source", default="", metavar="[kafka | FILE]")
@click.option("--since", type=Moment(), default="1h", help="Of kafka: how long ago, or a time of ISO 8601; else 1h.")
@click.option("--until", type=Moment(), default="0s", help="Of kafka: the same; default: now.")
@click.option("--offset", metavar="PARTITION/OFFSET", help="Of kafka: begin at the time of this event.")
@click.option("--site", "sites", **_NAMES, help="List only this one; may be repeated, as the next three.")
@click.option("--device", "devices", **_NAMES)
@click.option("--visitor", "visitors", **_NAMES)
@click.option("--outcome", "outcomes", **_NAMES, help="dispense, refuse, forgotten, quota, doubt, different, ...")
@click.option("--json", "sheet", flag_value="json", type=str, help="List answers and reports, as an object a line.")
@click.option("--csv", "sheet", flag_value="csv", type=str, help="List them as a table.")
@click.option("--speed", type=click.Choice(list(_SPEEDS)), default="max", show_default=True)
@click.option("--on-record", is_flag=True, help="Read no template: identities are taken from the decisions.")
@click.option("--policy", type=click.Path(path_type=Path), help="What if: a TOML file of policies to try.")
@click.option("--threshold", type=Thresholds(), help="What if: same=BITS,doubt=BITS of faces.")
@click.option("--picture", type=click.Path(path_type=Path), help="What if: draw the hours into this file, as SVG.")
@click.option(
    "--live", is_flag=True, help="A shadow: follow the running stream and write the trial's points to InfluxDB."
)
@click.option("--run", default="", metavar="NAME", help="A shadow of its own, in shadow-NAME instead of shadow.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on where Ctrl-C stopped a replay.")
def replay(
    source: str,
    resume: Path | None,
    speed: str,
    policy: Path | None,
    threshold: dict[str, int] | None,
    *,
    live: bool,
    **options: Any,
) -> None:
    """Decide recorded events again and compare the decisions.

    Nothing is sent anywhere. The space bar pauses, Ctrl-C stops it and prints how to resume. The exit
    code is 1 if an answer differs although everything that it depends on is recorded.

    With --policy or --threshold, recorded and trial answers are compared by site and hour. With --live
    it follows the running stream, until Ctrl-C.
    """
    settings = replay_settings()
    if live:
        _shadow(settings, what_is_tried(policy, threshold, is_live=True), source, options)
        return
    if bool(source) == bool(resume):
        raise click.UsageError("name what to replay: kafka, the file of an archive, or --resume FILE")
    if policy or threshold:
        _try_out(settings, what_is_tried(policy, threshold), source, options)
        return
    stopped = _read_stopped(resume) if resume else _asked_for(settings, source, options)
    sys.exit(run_replay(settings, _replay(settings, stopped, Pace(_SPEEDS[speed]))))


def _asked_for(settings: Settings, source: str, options: dict[str, Any]) -> _Stopped:
    """Return a replay that has not begun."""
    since, warm_up_ms = options["since"], 0
    if source == KAFKA:
        warm_up_ms = 1000 * run_replay(settings, read_registry(settings)).longest_window_s
        if options["offset"]:
            since = run_replay(settings, time_of(settings, *_place(options["offset"])))
    return _Stopped(
        asked=SourceSpec(
            source=source, since=since, until=options["until"], warm_up_ms=warm_up_ms, on_record=options["on_record"]
        ),
        filter=Filter(**{name: options[name] for name in Filter.__struct_fields__}),
        sheet=options["sheet"],
    )


def _try_out(settings: Settings, trial: Trial, source: str, options: dict[str, Any]) -> None:
    if not source or any(options[name] for name in ("devices", "visitors", "outcomes")):
        raise click.UsageError("what-if: name kafka or an archive file; of the filters, only --site works")
    shown = Shown(sites=options["sites"], sheet=options["sheet"], picture=options["picture"])
    run_replay(settings, try_out(settings, _asked_for(settings, source, options).asked, trial, shown))


def _shadow(settings: Settings, trial: Trial, source: str, options: dict[str, Any]) -> None:
    if source not in ("", KAFKA) or any(
        options[name] for name in ("sites", "devices", "visitors", "outcomes", "sheet")
    ):
        raise click.UsageError("--live follows the whole running stream: of the rest only --policy, --threshold, --run")
    run_replay(settings, shadow(settings, trial, options["run"]))


def _place(text: str) -> tuple[int, int]:
    number, _, offset = text.partition("/")
    if not (number.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"--offset {text} is no PARTITION/OFFSET such as 3/1200")
    return int(number), int(offset)


def _read_stopped(file: Path) -> _Stopped:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Stopped)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file} is not of a stopped replay: {error}") from None


async def _replay(settings: Settings, stopped: _Stopped, pace: Pace) -> int:
    """Replay and return the exit code."""
    async with open_source(settings, stopped.asked) as opened:
        if stopped.mark and stopped.mark != opened.mark:
            raise ConfigError(f"{stopped.asked.source} has changed since the replay was stopped: start again")
        source = opened.source
        telling = ReplayOutput(source, stopped.filter, stopped.sheet, stopped.next)
        replayed = Replay(source.recording, opened.pipeline_secret)
        try:
            with space_bar(pace.toggle), progress_bar("replaying") as telling.progress:
                await play(source, replayed, pace, stopped.next, telling.report)
        except asyncio.CancelledError:
            _save(settings, structs.replace(stopped, mark=opened.mark, next=telling.next))
            return _STOPPED
        Console(stderr=stopped.sheet is not None).print(summary(telling.tally, source))
        return telling.exit_code


def _save(settings: Settings, stopped: _Stopped) -> None:
    file = settings.data / "replay.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(stopped))
    click.echo(f"stopped; go on with: fairroll replay --resume {file}", err=True)
