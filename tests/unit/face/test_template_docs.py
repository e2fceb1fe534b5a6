"""docs/template.md agrees with the code."""

from pathlib import Path

import pytest

from models.face import image
from models.face.networks import alignment, dlib_embedder, facenet_embedder, mtcnn
from models.face.networks.weights import find_weights
from models.face.quality import QualityGate

_PAGE = (Path(__file__).parents[3] / "docs" / "template.md").read_text()
_GATE = QualityGate()


@pytest.mark.parametrize(
    "sentence",
    [
        f"scale to {image.LONGEST_SIDE:,}",
        f"least face {mtcnn.MIN_FACE_PX} pixels, thresholds {', '.join(map(str, mtcnn.THRESHOLDS))}",
        f"probability of {mtcnn.MIN_PROBABILITY} or more",
        f"at least {_GATE.width_px:g} pixels; probability at least {_GATE.probability}",
        f"turn at most {_GATE.turn} and roll at most {_GATE.roll:g} degrees",
        f"sharpness at least {_GATE.sharpness}",
        f"of {dlib_embedder.SIDE} pixels, padding {dlib_embedder.PADDING}",
        f"{facenet_embedder.SIDE} pixels, margin {facenet_embedder.MARGIN}",
        *(
            getattr(find_weights(each), field)
            for each in ("facenet-vggface2", "mobilefacenet")
            for field in ("name", "sha256")
        ),
        " ".join(f"({x}, {y})" for x, y in alignment.POINTS),
    ],
)
def test_the_page_has_the_numbers_of_the_code(sentence: str) -> None:
    assert sentence in " ".join(_PAGE.split())
