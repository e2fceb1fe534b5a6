"""FaceNet (InceptionResnetV1 of facenet-pytorch) on torch."""

import pickle
from pathlib import Path
from typing import Final, Self

import torch
from facenet_pytorch import InceptionResnetV1, extract_face, fixed_image_standardization
from PIL import Image

from models.contract.face_models import FaceModel
from models.errors import ConfigError
from models.face.capture_result import Embedding
from models.face.image import Face, upright_rgb
from models.face.networks.embedder import unit

__all__ = ["MARGIN", "SIDE", "FaceNetEmbedder", "load_facenet"]

SIDE: Final = 160
MARGIN: Final = 14
"""Both from facenet-pytorch's own evaluation, examples/lfw_evaluate.ipynb."""


class FaceNetEmbedder:
    """InceptionResnetV1 as facenet-pytorch runs it, one torch thread."""

    def __init__(self, model: FaceModel, network: InceptionResnetV1) -> None:
        torch.set_num_threads(1)
        self.model = model
        # channels_last: 1.3 times faster, measured.
        self._network = network.eval().to(memory_format=torch.channels_last)

    @classmethod
    def from_file(cls, model: FaceModel, weights: Path) -> Self:
        """From a file of the catalogue. Raises ConfigError if it does not hold this network's weights."""
        return cls(model, load_facenet(weights))

    def embed(self, image: Image.Image, face: Face) -> Embedding:
        crop = extract_face(upright_rgb(image), face.box, SIDE, MARGIN)
        with torch.inference_mode():
            row = self._network(fixed_image_standardization(crop).unsqueeze(0))[0]
        return unit(row.numpy())


def load_facenet(path: Path) -> InceptionResnetV1:
    """Load the embedding network, without its classifier. Raises ConfigError if the file holds anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = InceptionResnetV1()
        network.load_state_dict({key: state[key] for key in state if not key.startswith("logits.")}, strict=True)
    except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} does not hold FaceNet's weights: {error}. Delete it and fetch it again") from error
    return network
