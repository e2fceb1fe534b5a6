"""The centre of each face model: the mean of its embeddings, subtracted before signs are taken."""

import json
import textwrap
from importlib.resources import files
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.contract.face_models import FaceModel
from models.errors import ConfigError

__all__ = ["SCALE", "Centre", "encode_centre", "file_name", "load_centre", "to_scale"]

SCALE: Final = 2**20
"""Embeddings are multiplied by this and rounded to integers; float32 has about this precision."""


class Centre(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the folder `centres`."""

    model: str
    source: str
    """which photos or which reasoning it came from"""
    values: tuple[int, ...]
    """at SCALE, one a dimension"""


def load_centre(model: FaceModel) -> NDArray[np.int64]:
    """Return int64 of shape (model.dimensions,). Raises ConfigError if this version has no valid one."""
    path = files("models.face") / "centres" / file_name(model.id)
    try:
        centre = msgspec.json.decode(path.read_bytes(), type=Centre)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"no centre for face model {model.id}: {error}") from error
    if (centre.model, len(centre.values)) != (model.id, model.dimensions):
        raise ConfigError(f"{file_name(model.id)} is the centre of another model than {model.id}")
    return np.array(centre.values, dtype=np.int64)


def to_scale(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return whole numbers: floor(x * SCALE + 0.5), in double precision (docs/template.md)."""
    return np.floor(vector * SCALE + 0.5)


def encode_centre(centre: Centre) -> bytes:
    """Return JSON with some ten values a line, so that a change can be read in a diff."""
    rows = textwrap.fill(", ".join(map(str, centre.values)), 100, initial_indent="  ", subsequent_indent="  ")
    model, source = json.dumps(centre.model), json.dumps(centre.source)
    return f'{{\n "model": {model},\n "source": {source},\n "values": [\n{rows}\n ]\n}}\n'.encode()


def file_name(model_id: str) -> str:
    """Return the file name of a model's centre; the slash of the id becomes a hyphen."""
    return model_id.replace("/", "-") + ".json"
