"""`fairroll demo`."""

from pathlib import Path

import click

from models.errors import ConfigError

__all__ = ["demo"]


@click.command()
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="Your own: a folder a person, or files.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=".local/demo", show_default=True, help="Data and logs."
)
@click.option("--visitors", default=400, show_default=True, help="Of the simulated fleet.")
@click.option("--seconds", default=45.0, show_default=True, help="From their first arrival to the last.")
@click.option("--secure", is_flag=True, help="MQTT by TLS with certificates, signed controls (docs/security.md).")
def demo(photos: Path | None, folder: Path, visitors: int, seconds: float, *, secure: bool) -> None:
    """Show the main job on real brokers, in a minute.

    A real face at one dispenser, and a simulated fleet.
    """
    try:
        from infra.demo.scenario import demonstrate  # noqa: PLC0415 - only the demo needs the vision packages
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: the demo needs every extra; run make setup") from None
    demonstrate(folder, photos, visitors=visitors, seconds=seconds, is_secure=secure)
