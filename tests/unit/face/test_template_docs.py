"""docs/template.md agrees with the code."""

from pathlib import Path

import pytest

from models.face import detection, embedding, image
from models.face.quality import QualityGate
from models.face.weights import FACENET_VGGFACE2

_PAGE = (Path(__file__).parents[3] / "docs" / "template.md").read_text()
_GATE = QualityGate()


@pytest.mark.parametrize(
    "sentence",
    [
        f"scale to {image.LONGEST_SIDE:,}",
        f"least face {detection.MIN_FACE_PX} pixels, thresholds {', '.join(map(str, detection.THRESHOLDS))}",
        f"probability of {detection.MIN_PROBABILITY} or more",
        f"at least {_GATE.width_px:g} pixels; probability at least {_GATE.probability}",
        f"turn at most {_GATE.turn} and roll at most {_GATE.roll:g} degrees",
        f"sharpness at least {_GATE.sharpness}",
        f"of {embedding._DLIB_SIDE} pixels, padding {embedding._DLIB_PADDING}",  # noqa: SLF001 - the page names them
        f"{embedding._FACENET_SIDE} pixels, margin {embedding._FACENET_MARGIN}",  # noqa: SLF001 - see above
        FACENET_VGGFACE2.name,
        FACENET_VGGFACE2.sha256,
    ],
)
def test_the_page_has_the_numbers_of_the_code(sentence: str) -> None:
    assert sentence in " ".join(_PAGE.split())
