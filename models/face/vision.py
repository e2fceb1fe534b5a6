"""Computes the embedding of a picture in memory; neither is ever written or kept."""

from pathlib import Path
from typing import Final

from msgspec import Struct
from PIL import Image

from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.capture_result import Embedding, NotSeen, Poor
from models.face.image import Face, upright_rgb
from models.face.networks.embedder import Embedder
from models.face.networks.mtcnn import FaceDetector
from models.face.networks.weights import find_weights, verified
from models.face.quality import QualityGate
from models.face.refinement import refine

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
            if poor is None and (output := self.embedder.embed(image, face)) is not None:
                return refine(self.embedder.model, output)
            reasons.append(poor or "blurred")
        return NotSeen(reason=reasons[0] if reasons else "no_face")


def open_vision(model_id: str, weights_folder: Path) -> Vision:
    """Load the networks of a model; raises ConfigError if it sees nothing or its weights are not in the folder."""
    embedder = open_embedder(model_id, weights_folder)
    return Vision(detector=FaceDetector(), gate=QualityGate(), embedder=embedder)


def open_embedder(model_id: str, weights_folder: Path) -> Embedder:
    """Load the embedder, and no other runtime than its own.

    Raises ConfigError if the model is unknown or sees nothing, or its weights are not in the folder.
    """
    model = face_model(model_id)
    match model.weights:
        case "dlib":
            from models.face.networks.dlib_embedder import DlibEmbedder  # noqa: PLC0415 - dlib only where it is used

            return DlibEmbedder(model)
        case "facenet-vggface2":
            from models.face.networks.facenet_embedder import FaceNetEmbedder  # noqa: PLC0415 - torch, see above

            return FaceNetEmbedder.from_file(model, verified(find_weights(model.weights), weights_folder))
        case "mobilefacenet":
            from models.face.networks.onnx_embedder import OnnxEmbedder  # noqa: PLC0415 - ONNX Runtime, see above

            return OnnxEmbedder.from_file(model, verified(find_weights(model.weights), weights_folder))
        case "":
            raise ConfigError(f"{model_id} needs no camera: it is for simulated fleets")
        case other:
            raise ConfigError(f"{model_id} is made with the weights {other}, which this version cannot run")


def _who_asks(faces: list[Face]) -> list[Face]:
    return [face for face in faces if face.width >= _BYSTANDER * faces[0].width]
