"""`fairroll preview`."""

import asyncio
import time
from pathlib import Path

import click

from infra.local_time import AmbiguousTime, iso_local, parse_moment
from infra.operator_settings import operator_settings
from infra.preview.chromium import chromium
from models.errors import ConfigError

__all__ = ["preview"]

_NAMES = ("city", "site", "pipeline", "privacy", "replay")


@click.command()
@click.argument("dashboards", nargs=-1, type=click.Choice(_NAMES))
@click.option("--from", "since", default="", help="-15m, -1h, -7d or an ISO time; else each dashboard's own.")
@click.option("--to", "until", default="now", show_default=True)
@click.option("--var", "typed", multiple=True, metavar="NAME=VALUE", help="What is chosen at the top: site=park.")
@click.option("--folder", type=click.Path(path_type=Path), default=".local/preview", show_default=True)
def preview(dashboards: tuple[str, ...], since: str, until: str, typed: tuple[str, ...], folder: Path) -> None:
    """Draw the dashboards from InfluxDB, without Grafana.

    Writes one HTML page, and a PNG of each dashboard. The page needs nothing else and can be mailed. PNGs need
    Chromium.
    """
    try:
        from infra.preview.page import query_boards, write_page, write_pictures  # noqa: PLC0415 - only this needs plotly
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: pip install '.[pipeline,preview]'") from None
    names = dashboards or _NAMES
    now_ms = int(1000 * time.time())
    since, until = _moment(since), _moment(until)
    shown = asyncio.run(
        query_boards(operator_settings(), names, now_ms, since=since, until=until, typed=_values(typed))
    )
    page = write_page(folder, shown)
    click.echo(page)
    if chromium() is None:
        click.echo("No PNG: chromium is missing; install the package chromium, or print the page", err=True)
        return
    for picture in asyncio.run(write_pictures(page, shown)):
        click.echo(picture)


def _moment(text: str) -> str:
    """Return an ISO time with its offset; other texts are returned as they are."""
    try:
        return iso_local(parse_moment(text))
    except AmbiguousTime as error:
        raise ConfigError(str(error)) from None
    except ValueError:
        return text


def _values(typed: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in typed]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.BadParameter(f"{', '.join(wrong)}: a variable is chosen as NAME=VALUE")
    return {name: value for name, _, value in pairs}
