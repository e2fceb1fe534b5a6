"""Computes the embedding of a face."""

from pathlib import Path
from typing import Final, Protocol, Self

import dlib
import face_recognition_models
import numpy as np
import torch
from facenet_pytorch import InceptionResnetV1, extract_face, fixed_image_standardization
from numpy.typing import NDArray
from PIL import Image

from models.contract.face_models import FaceModel, face_model
from models.face.capture_result import Embedding
from models.face.image import Face, upright_rgb
from models.face.weights import load_facenet

__all__ = ["DlibEmbedder", "Embedder", "FaceNetEmbedder"]

_FACENET_SIDE: Final = 160
_FACENET_MARGIN: Final = 14
"""Both from facenet-pytorch's own evaluation, examples/lfw_evaluate.ipynb."""
_DLIB_SIDE: Final = 150
_DLIB_PADDING: Final = 0.25
"""Both from dlib's face_recognition.py; 0.15 and 0.35 recognised worse on 29 photos of six people."""


class Embedder(Protocol):
    """A network that turns a face into a vector."""

    @property
    def model(self) -> FaceModel: ...

    def embed(self, image: Image.Image, face: Face) -> Embedding:
        """Return float32 of shape (model.dimensions,), length 1; the same image and face give the same vector."""
        ...


class FaceNetEmbedder:
    """InceptionResnetV1 as facenet-pytorch runs it, one torch thread."""

    def __init__(self, network: InceptionResnetV1) -> None:
        torch.set_num_threads(1)
        self.model = face_model("facenet-vggface2/1")
        # channels_last: 1.3 times faster, measured.
        self._network = network.eval().to(memory_format=torch.channels_last)

    @classmethod
    def from_file(cls, weights: Path) -> Self:
        """Load a file that `weights.fetch` downloaded; raises ConfigError if it holds other weights."""
        return cls(load_facenet(weights))

    def embed(self, image: Image.Image, face: Face) -> Embedding:
        crop = extract_face(upright_rgb(image), face.box, _FACENET_SIDE, _FACENET_MARGIN)
        with torch.inference_mode():
            row = self._network(fixed_image_standardization(crop).unsqueeze(0))[0]
        return _unit(row.numpy())


class DlibEmbedder:
    """dlib's ResNet over a chip that its five-point predictor aligns; the weights come with the package.

    A chip and its mirror image are embedded and averaged: over all splits of six people the least margin between
    a stranger's highest and a visitor's lowest score grew from 7 to 20 bits, for twice the time. dlib's own jitter
    is random: one photo would not give the same template twice.
    """

    def __init__(self) -> None:
        self.model = face_model("dlib-resnet/1")
        self._predict = dlib.shape_predictor(face_recognition_models.pose_predictor_five_point_model_location())
        self._network = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())

    def embed(self, image: Image.Image, face: Face) -> Embedding:
        pixels = np.asarray(upright_rgb(image))
        shape = self._predict(pixels, dlib.rectangle(*(round(side) for side in face.box)))
        chip = dlib.get_face_chip(pixels, shape, _DLIB_SIDE, _DLIB_PADDING)
        chips = [chip, np.ascontiguousarray(chip[:, ::-1])]
        return _unit(np.sum([self._network.compute_face_descriptor(one) for one in chips], axis=0))


def _unit(vector: NDArray[np.floating]) -> Embedding:
    wide = np.asarray(vector, dtype=np.float64)
    return (wide / np.linalg.norm(wide)).astype(np.float32)
