"""`fairroll calibrate`."""

import os
import re
from pathlib import Path

import click

from models.errors import ConfigError
from models.settings import Settings

__all__ = ["calibrate"]


@click.command()
@click.argument("people", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--groups",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of groups of people: one folder a group, one photo of each person inside.",
)
@click.option(
    "--pairs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Pairs as in LFW's View 2, 600 a fold: NAME i j, or NAME i OTHER j, separated by tabs.",
)
@click.option("--model", default="mobilefacenet/1", show_default=True, help="Face model with the network to use.")
@click.option("--id", "model_id", default="calibrated/1", show_default=True, help="Id of the model that is written.")
@click.option("--most", type=click.IntRange(60), help="Use so many photos of people at most, the first by name.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("calibration"), show_default=True)
def calibrate(
    *, people: Path, groups: Path | None, pairs: Path | None, model: str, model_id: str, most: int | None, out: Path
) -> None:
    """Measure a face model on photos, and write its file.

    PEOPLE holds one folder a person with photos inside; two photos of many people are needed. The photos pass detector,
    quality gate, network and templates under four keys, as on a dispenser. OUT gets report.md, report.json, picture.svg
    and the model's file, which services and dispensers load from the folder FAIRROLL_FACE_MODELS. No photo, embedding
    or template is written.
    """
    from infra.calibration.run import Photos, calibrate_photos  # noqa: PLC0415 - the networks, which take seconds

    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,40}/[a-z0-9.-]{1,20}", model_id) or model_id.startswith("synthetic/"):
        raise ConfigError(f"--id {model_id}: a model's id is NAME/VERSION in small letters, digits, dots and hyphens")
    weights = Settings.from_environ(os.environ).data / "weights"
    photos = Photos(people=people, groups=groups, pairs=pairs, most=most)
    for path in calibrate_photos(photos, model, model_id, weights, out, click.echo):
        click.echo(f"written: {path}")
