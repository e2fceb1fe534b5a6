"""Embedders on ONNX Runtime: a small network, one thread, no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from models.contract.face_models import FaceModel
from models.errors import ConfigError
from models.face.capture_result import Embedding
from models.face.image import Face, upright_rgb
from models.face.networks.alignment import align
from models.face.networks.embedder import unit

__all__ = ["INPUTS", "OnnxEmbedder", "OnnxInput", "open_session"]


class OnnxInput(Struct, frozen=True, kw_only=True):
    """How a network wants its pixels: red, green, blue of 0 to 255, less the mean, over the deviation."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    least_norm: float = 0.0
    """Below this length of its output the network knows too little of the face: docs/template-evaluation.md."""


_IMAGENET_MEAN: Final = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_DEVIATION: Final = (0.229 * 255, 0.224 * 255, 0.225 * 255)

INPUTS: Final[Mapping[str, OnnxInput]] = {
    "mobilefacenet": OnnxInput(mean=_IMAGENET_MEAN, deviation=_IMAGENET_DEVIATION, least_norm=12.5),
}
"""By the id of the weights."""


class OnnxEmbedder:
    """A network over an aligned face of 112 x 112 pixels and its mirror image, whose outputs are added."""

    def __init__(self, model: FaceModel, pixels: OnnxInput, session: onnxruntime.InferenceSession) -> None:
        self.model = model
        self._pixels = pixels
        self._session = session
        self._input = session.get_inputs()[0].name
        self._mean = np.array(pixels.mean, np.float32)
        self._deviation = np.array(pixels.deviation, np.float32)

    @classmethod
    def from_file(cls, model: FaceModel, weights: Path) -> "OnnxEmbedder":
        """From a file of the catalogue. Raises ConfigError if it does not hold the model's network."""
        session = open_session(weights)
        shape = session.get_outputs()[0].shape
        if shape[-1] != model.dimensions:
            raise ConfigError(f"{weights} gives {shape[-1]} numbers, and {model.id} has {model.dimensions}")
        return cls(model, INPUTS[model.weights], session)

    def embed(self, image: Image.Image, face: Face) -> Embedding | None:
        output = self.output(image, face)
        return None if float(np.linalg.norm(output)) < self._pixels.least_norm else unit(output)

    def output(self, image: Image.Image, face: Face) -> NDArray[np.float64]:
        """Return the mean output for the face and its mirror image; its length is a measure of quality."""
        pixels = np.asarray(align(upright_rgb(image), face.landmarks), np.float32)
        pixels = (pixels - self._mean) / self._deviation
        outputs = [self._run(each) for each in (pixels, pixels[:, ::-1])]
        mean: NDArray[np.float64] = np.mean(outputs, axis=0, dtype=np.float64)
        return mean

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        row: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0][0]
        return row


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Load a network on one thread. Raises ConfigError if the file holds none."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # next to a busy process more are slower
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, without a common one
        raise ConfigError(f"{path} is no ONNX network: {error}. Delete it and fetch it again") from error
