"""Computes the embedding of a picture in memory; neither is ever written or kept."""

from pathlib import Path
from typing import Final

from msgspec import Struct
from PIL import Image

from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.capture_result import Embedding, NotSeen, Poor
from models.face.detection import FaceDetector
from models.face.embedding import DlibEmbedder, Embedder, FaceNetEmbedder
from models.face.image import Face, upright_rgb
from models.face.quality import QualityGate
from models.face.weights import FACENET_VGGFACE2, fetch

__all__ = ["Vision", "open_embedder", "open_vision"]

_BYSTANDER: Final = 0.5
"""Heads are about one size, so a face less than half as wide as the largest is more than twice as far away."""


class Vision(Struct, frozen=True, kw_only=True):
    """Detector, quality gate and embedder. It has no key and makes no template."""

    detector: FaceDetector
    gate: QualityGate
    embedder: Embedder

    def see(self, image: Image.Image) -> Embedding | NotSeen:
        """Embed the largest face that passes the gate and is no bystander's. Any size, mode and EXIF orientation."""
        image = upright_rgb(image)
        reasons: list[Poor] = []
        for face in _who_asks(self.detector.detect(image)):
            poor = self.gate.judge(image, face)
            if poor is None:
                return self.embedder.embed(image, face)
            reasons.append(poor)
        return NotSeen(reason=reasons[0] if reasons else "no_face")


def open_vision(model_id: str, weights_folder: Path) -> Vision:
    """Load the networks of a model; raises ConfigError if it needs no camera or its weights are unavailable."""
    embedder = open_embedder(model_id, weights_folder)
    return Vision(detector=FaceDetector(), gate=QualityGate(), embedder=embedder)


def open_embedder(model_id: str, weights_folder: Path) -> Embedder:
    """Load the embedder. Raises ConfigError if the model is unknown or needs no camera, or has no weights."""
    match face_model(model_id).id:
        case "dlib-resnet/1":
            return DlibEmbedder()
        case "facenet-vggface2/1":
            return FaceNetEmbedder.from_file(fetch(FACENET_VGGFACE2, weights_folder))
        case other:
            raise ConfigError(f"{other} needs no camera: it is for simulated fleets")


def _who_asks(faces: list[Face]) -> list[Face]:
    return [face for face in faces if face.width >= _BYSTANDER * faces[0].width]
