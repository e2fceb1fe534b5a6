"""`fairroll compliance`."""

import asyncio
import sys
from pathlib import Path
from typing import Literal

import click

from infra.compliance.evidence import gather
from infra.compliance.report import count, html, lines, markdown, sections
from infra.operator_settings import operator_settings

__all__ = ["compliance"]

_WRITERS = {"md": markdown, "html": html}


@click.command()
@click.argument("site")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True, help="Folder for it."
)
@click.option("--format", "kind", type=click.Choice(["md", "html", "both"]), default="both", show_default=True)
@click.option("--offline", is_flag=True, help="Use the settings and the sites file only, without a pipeline.")
def compliance(site: str, out: Path, kind: Literal["md", "html", "both"], *, offline: bool) -> None:
    """Write the facts for a site's impact assessment.

    No legal advice (docs/compliance.md). Each fact is listed with its rule. Exit code 1 if any line
    fails; what needs counsel fails nothing.
    """
    settings = operator_settings()
    facts = asyncio.run(gather(settings, site, offline=offline))
    found = sections(facts)
    for name in facts.live.unreadable if facts.live else ():
        click.echo(f"left out, this version cannot read it: {name}", err=True)
    out.mkdir(parents=True, exist_ok=True)
    for ending in _WRITERS if kind == "both" else [kind]:
        path = out / f"compliance-{site}.{ending}"
        path.write_text(_WRITERS[ending](facts, found), encoding="utf-8")
        click.echo(f"wrote {path}")
    click.echo(", ".join(f"{number} {verdict}" for verdict, number in count(found).items()))
    failed = [line for line in lines(found) if line.verdict == "fail"]
    for line in failed:
        click.echo(f"fail: {line.fact}: {line.why}")
    click.echo("This is no legal advice.")
    sys.exit(bool(failed))
