import cmath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.transform import SimilarityTransform

from models.face.image import Landmarks, Point
from models.face.networks.alignment import POINTS, SIDE, align, similarity

TARGET = np.array(POINTS)


@given(st.floats(-3, 3), st.floats(0.1, 10), st.floats(-500, 500), st.floats(-500, 500))
def test_turn_scale_and_shift_are_found(angle: float, scale: float, x: float, y: float) -> None:
    factor = scale * cmath.exp(1j * angle)
    moved = np.array([(factor * complex(*point) + complex(x, y)) for point in POINTS])
    a, b, c, d, e, f = similarity(POINTS, np.stack([moved.real, moved.imag], axis=1))
    assert (a, -b) == pytest.approx((factor.real, factor.imag))
    assert (d, e) == pytest.approx((factor.imag, factor.real))
    assert (c, f) == pytest.approx((x, y), abs=1e-6)


@given(st.lists(st.floats(-20, 20), min_size=10, max_size=10))
def test_the_fit_is_that_of_umeyama(noise: list[float]) -> None:
    other = TARGET + np.reshape(noise, (5, 2)) / 4
    reference = SimilarityTransform.from_estimate(TARGET, other).params
    assert np.reshape(similarity(TARGET, other), (2, 3)) == pytest.approx(reference[:2], abs=1e-6)


def test_landmarks_come_to_lie_on_the_points() -> None:
    picture = Image.new("RGB", (400, 300))
    landmarks = [(round(2 * x) + 100, round(2 * y) + 20) for x, y in POINTS]
    for column, row in landmarks:
        picture.paste((255, 255, 255), (column - 2, row - 2, column + 2, row + 2))  # its middle is (x, y)
    grey = np.asarray(align(picture, Landmarks(*(Point(*point) for point in landmarks))).convert("L"), float)
    assert grey.shape == (SIDE, SIDE)
    for x, y in POINTS:
        rows, columns = np.mgrid[round(y) - 4 : round(y) + 4, round(x) - 4 : round(x) + 4]
        weights = grey[rows, columns]
        middle = ((columns + 0.5) * weights).sum() / weights.sum(), ((rows + 0.5) * weights).sum() / weights.sum()
        assert middle == pytest.approx((x, y), abs=0.6)  # landmarks are rounded, squares sampled


def test_landmarks_in_one_point_give_a_picture() -> None:
    assert align(Image.new("RGB", (50, 50)), Landmarks(*[Point(5, 5)] * 5)).size == (SIDE, SIDE)
