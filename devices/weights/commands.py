"""`dispenser weights`: list, fetch, verify and import the weights of face models."""

import os
from pathlib import Path

import click

from models.errors import ConfigError
from models.face.networks.weights import CATALOGUE, Weights, check, find_weights, verified, weights_path
from models.settings import Settings

__all__ = ["weights"]


@click.group()
def weights() -> None:
    """Weights of face models: FAIRROLL_DATA/weights holds them.

    Only files of the catalogue are used, known by size and SHA-256. A dispenser never downloads any by itself.
    """


@weights.command("list")
def list_() -> None:
    """Print the catalogue: each file, its licence, training data, accuracy on LFW, and whether it is here."""
    for each in CATALOGUE:
        click.echo(f"{each.id}  {_state(each, _folder())}")
        click.echo(f"  {each.name}, {each.size:,} bytes, sha256 {each.sha256}")
        click.echo(f"  {each.url or 'inside the package ' + each.package.partition('/')[0]}")
        click.echo(f"  licence {each.licence}; trained on {each.training}")
        click.echo(f"  LFW: published {each.published}; {each.measured}")
        click.echo(f"  face model: {each.face_model or 'none yet'}")


@weights.command()
@click.argument("weights_id", metavar="ID")
def fetch(weights_id: str) -> None:
    """Download the weights ID; a cut download goes on where it stopped. HTTPS_PROXY names a proxy."""
    from devices.weights.download import fetch as fetch_file  # noqa: PLC0415 - requests, which only this command needs

    click.echo(f"{fetch_file(find_weights(weights_id), _folder())}")


@weights.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    """Copy a FILE that was brought here; it is recognised by its contents."""
    from devices.weights.download import import_file  # noqa: PLC0415 - see fetch

    click.echo(f"{import_file(file, _folder()).id} imported")


@weights.command()
@click.argument("weights_id", metavar="[ID]", required=False)
def verify(weights_id: str | None) -> None:
    """Check the file of ID, or every file that is here; exit code 2 if one is not as released."""
    folder = _folder()
    if weights_id is not None:
        click.echo(f"{verified(find_weights(weights_id), folder)}: as released")
        return
    states = {each.id: _state(each, folder) for each in CATALOGUE}
    for name, state in states.items():
        click.echo(f"{name}: {state}")
    if wrong := [name for name, state in states.items() if state not in ("as released", "not here")]:
        raise ConfigError(f"not as released: {', '.join(wrong)}. Delete the file and fetch or import it again")


def _folder() -> Path:
    return Settings.from_environ(os.environ).data / "weights"


def _state(each: Weights, folder: Path) -> str:
    try:
        path = weights_path(each, folder)
    except ConfigError:
        return "not here"
    return (check(each, path) or "as released") if path.exists() else "not here"
