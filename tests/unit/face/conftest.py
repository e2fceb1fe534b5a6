import os
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from models.contract.face_models import face_model
from models.face.calibration.photos import Photos, Processed, process
from models.face.image import Face
from models.face.networks.dlib_embedder import DlibEmbedder
from models.face.networks.mtcnn import FaceDetector
from models.face.quality import QualityGate

FACES = Path(os.path.normpath(Path(__file__).parents[3] / "../shared/faces"))


@pytest.fixture(scope="session")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="session")
def embedder() -> DlibEmbedder:
    return DlibEmbedder(face_model("dlib-resnet/1"))


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="session")
def coffee() -> Image.Image:
    return Image.fromarray(data.coffee())


@pytest.fixture(scope="session")
def astronauts_face(detector: FaceDetector, astronaut: Image.Image) -> Face:
    return detector.detect(astronaut)[0]


@pytest.fixture(scope="session")
def looks(detector: FaceDetector, embedder: DlibEmbedder) -> list[Processed]:
    """What every photo of the six people gives; takes half of the suite's time, so once."""
    if not FACES.is_dir():
        pytest.skip("the photos of six people are not beside the repository")
    return process(FACES, Photos(detector=detector, gate=QualityGate(), embedder=embedder))
