"""`fairroll record`."""

from pathlib import Path

import click

from infra.operator_settings import replay_settings
from infra.replay.kafka_errors import run_replay
from infra.replay.screen import progress_bar
from infra.sites.registry import read_registry
from infra.time_arguments import Moment
from models.errors import ConfigError
from stream_processors.replay.kafka_source import Wanted
from stream_processors.replay.recorder import record as make_archive

__all__ = ["record"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--since", type=Moment(), default="1h", show_default=True, help="How long ago, or a time of ISO 8601.")
@click.option("--until", type=Moment(), default="0s", help="The same; default: now.")
@click.option("--site", "sites", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="The same; such an archive proves no answer.")
@click.option("--with-templates", is_flag=True, help="Of simulated faces, at sites marked simulated.")
def record(
    file: Path, since: int, until: int, sites: tuple[str, ...], devices: tuple[str, ...], *, with_templates: bool
) -> None:
    """Record a range of Kafka into an archive.

    FILE gets compressed lines of JSON (name it .jsonl.zst). It begins one window earlier, so that a replay has
    the grants that count at its beginning. It contains no template of a real site.
    """
    settings = replay_settings()
    known = run_replay(settings, read_registry(settings))
    for site in sites:
        if site not in known.sites:
            raise ConfigError(f"{site} is none of the sites that are served: {', '.join(sorted(known.sites))}")
    if with_templates and not any(known.sites[site].simulated for site in sites or known.sites):
        raise ConfigError("--with-templates: none of these sites is marked simulated")
    wanted = Wanted(
        since=since,
        until=until,
        warm_up_ms=1000 * known.longest_window_s,
        sites=sites,
        devices=devices,
        with_templates=with_templates,
    )
    with progress_bar("recording") as report:
        trailer = run_replay(settings, make_archive(settings, wanted, known, file, report))
    click.echo(f"{file}: {trailer.events} events, {file.stat().st_size:,} bytes, SHA-256 {trailer.sha256}")
    if trailer.unreadable:
        click.echo(f"{trailer.unreadable} unreadable events were left out")
