"""The face models that an operator calibrated, added to those of this version by each entry point."""

from collections.abc import Mapping
from pathlib import Path

from models.contract.face_models import add_face_models
from models.errors import ConfigError

__all__ = ["add_operator_models"]

_VARIABLE = "FAIRROLL_FACE_MODELS"


def add_operator_models(environ: Mapping[str, str]) -> None:
    """Add the models in the folder FAIRROLL_FACE_MODELS, if it is set. Raises ConfigError naming the file."""
    if not (folder := environ.get(_VARIABLE)):
        return
    if not Path(folder).is_dir():
        raise ConfigError(f"{_VARIABLE}={folder}: there is no such folder")
    add_face_models(Path(folder))
