"""`fairroll replay --policy`, `--threshold`: a trial policy on recorded events, as tables, sheets and a picture."""

import csv
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from infra.local_time import iso_hour
from infra.replay.bar_chart import picture
from infra.replay.output import Sheet
from infra.replay.screen import progress_bar
from infra.tables import Table, stacked
from models.contract.codec import encode
from models.contract.face_models import with_thresholds
from models.errors import ConfigError
from models.ledger.rules.policy import Policies, parse_policies
from models.replay.recording import Recording
from models.replay.trial_totals import TrialCounts, TrialTotals
from models.replay.what_if import Trial, WhatIf
from models.settings import Settings
from stream_processors.replay.sources import SourceSpec, open_source

__all__ = ["Shown", "Thresholds", "hour_table", "try_out", "what_is_tried"]


class Thresholds(click.ParamType):
    """`same=390`, `doubt=370`, or both, separated by a comma."""

    name = "threshold"
    _MOST = 4096

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        given: dict[str, int] = {}
        for part in str(value).split(","):
            name, _, bits = part.partition("=")
            if name not in ("same", "doubt") or not bits.isdecimal() or not 0 < int(bits) <= self._MOST:
                self.fail(f"{part!r} is no threshold such as same=390 or doubt=370", param, ctx)
            given[name] = int(bits)
        return given


class Shown(Struct, frozen=True, kw_only=True):
    """How a comparison is shown."""

    sites: tuple[str, ...] = ()
    """the sites to show; (): all"""
    sheet: Sheet | None = None
    picture: Path | None = None


def what_is_tried(policy: Path | None, threshold: Mapping[str, int] | None, *, is_live: bool = False) -> Trial:
    """Build the trial; raises ConfigError naming the file and the place in it."""
    models = with_thresholds(threshold.get("same"), threshold.get("doubt")) if threshold else None
    return Trial(policies=_read_policies(policy) if policy else Policies(), models=models, is_live=is_live)


def _read_policies(path: Path) -> Policies:
    try:
        return parse_policies(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the policy file {path}: {error}") from None


async def try_out(settings: Settings, asked: SourceSpec, trial: Trial, shown: Shown) -> None:
    """Replay under the trial, and show the differences. Raises FairrollError, without a picture."""
    if shown.picture and shown.picture.exists():
        raise ConfigError(f"{shown.picture} exists: choose another name, or delete it")
    comparison, failures, done = TrialTotals(), 0, 0
    async with open_source(settings, asked) as opened:
        source, since = opened.source, opened.source.recording.since
        tried = WhatIf(source.recording, opened.pipeline_secret, trial)
        with progress_bar("trying") as progress:
            async for recorded in source:
                replayed, compared = tried.fold(recorded)
                done, failures = done + 1, failures + bool(replayed.failure)
                progress(done, source.total)
                if compared and recorded.at >= since and (not shown.sites or compared.recorded.site in shown.sites):
                    comparison.add(compared)
    _write(shown.sheet, comparison)
    if shown.picture:
        _draw(shown.picture, comparison)
    sentences = (*_sentences(comparison.total, trial, tried), *_troubles(failures, source.recording))
    tables = (_table("site", comparison.by_site()), hour_table(comparison.by_hour()))
    Console(stderr=shown.sheet is not None).print(stacked(*tables, Text("\n".join(sentences))))


def _write(sheet: Sheet | None, comparison: TrialTotals) -> None:
    """Write a row for each site and hour to standard output; the hour as ISO 8601, in UTC."""
    counts = TrialCounts.__struct_fields__
    rows = [
        {"site": site, "hour": _iso(hour)} | {name: getattr(cell, name) for name in counts}
        for (site, hour), cell in sorted(comparison.cells.items())
    ]
    if sheet == "json":
        sys.stdout.writelines(encode(row).decode() + "\n" for row in rows)
    elif sheet == "csv":
        table = csv.DictWriter(sys.stdout, ("site", "hour", *counts))
        table.writeheader()
        table.writerows(rows)


def _draw(path: Path, comparison: TrialTotals) -> None:
    total = comparison.total
    note = f"{total.answers:,} answers, {total.not_answerable:,} of them not answerable and on neither side"
    title = f"{total.granted_more:,} more granted, {total.refused_more:,} more refused"
    try:
        path.write_text(picture(title, comparison.by_hour(), note))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def _table(what: str, lines: Mapping[str, TrialCounts]) -> Table:
    heads = ("answers", "changed", "granted more", "refused more", "paper m", "refused", "longest wait s", "unanswered")
    table = Table(what, *heads)
    for name, line in lines.items():
        counts = (line.answers, line.changed, line.granted_more, line.refused_more)
        table.add_row(
            name,
            *(f"{count:,}" for count in counts),
            f"{line.cm_recorded / 100:,.2f} → {line.cm_trial / 100:,.2f}",
            f"{line.refused_recorded:,} → {line.refused_trial:,}",
            f"{line.longest_wait_recorded_s:,} → {line.longest_wait_trial_s:,}",
            f"{line.not_answerable:,}",
        )
    return table


def hour_table(hours: Mapping[int, TrialCounts]) -> Table:
    """Return a line for each hour; `hours` by their starts in milliseconds since 1970."""
    return _table("hour", {iso_hour(at / 1000): line for at, line in hours.items()})


def _sentences(total: TrialCounts, trial: Trial, tried: WhatIf) -> Iterator[str]:
    yield (
        f"{total.answers:,} answers: {total.from_templates:,} from templates, {total.without_face:,} without a face,"
        f" {total.not_answerable:,} not answerable (they count on neither side)."
    )
    for site, (then_s, tried_s) in tried.longer_windows.items():
        yield (
            f"{site} has a window of {tried_s:,} s in the trial and {then_s:,} s recorded: a recording begins one"
            " recorded window earlier, and only templates show who came back in between."
        )
    for site in trial.policies.sites.keys() - tried.sites:
        yield f"{site} has a trial policy, but no events in the recording."
    if total.not_answerable:
        yield (
            "An answer is not answerable if its template cannot be read any more, or if the recording begins within"
            " its window. At a real site, try a policy on the running stream: fairroll replay --live."
        )
    yield "A portion that only the trial grants counts as dispensed in full; visitors are assumed to come as recorded."


def _troubles(failures: int, recording: Recording) -> Iterator[str]:
    if recording.devices:
        yield f"It holds only {', '.join(recording.devices)}: what other dispensers gave is not known."
    if failures:
        yield f"{failures:,} events could not be decided: fairroll replay shows why."
    yield "Nothing was sent anywhere."


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z")
