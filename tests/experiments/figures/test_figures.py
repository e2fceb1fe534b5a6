import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.contract.face_models import TRILLION, face_model
from models.face.measures import by_chance, decidability, equal_error_rate, linkability, upper_bound
from tests.experiments.figures.__main__ import main
from tests.experiments.figures.comparing import (
    Compared,
    compare,
    compare_synthetic,
    draw_keys,
    synthetic_people,
)
from tests.experiments.figures.rebuilding import rebuilt
from tests.experiments.figures.study import Study

FACES = Path(__file__).parents[4] / "shared/faces"
DLIB, SYNTHETIC = face_model("dlib-resnet/1"), face_model("synthetic/1")


@pytest.fixture(scope="module")
def compared() -> Compared:
    rng = np.random.default_rng(20261124)
    return compare_synthetic(SYNTHETIC, 250, rng, [draw_keys(rng) for _ in range(4)])


@pytest.fixture
def few_photos(tmp_path: Path) -> Path:
    """Two photos of each of three people."""
    if not FACES.is_dir():
        pytest.skip("the photos of six people are not beside the repository")
    for person in ("p01", "p02", "p03"):
        (tmp_path / person).mkdir()
        for photo in ("1.jpg", "2.jpg"):
            (tmp_path / person / photo).symlink_to((FACES / person / photo).resolve())
    return tmp_path


@pytest.mark.parametrize("way", ["two sites", "two epochs"])
def test_templates_of_one_person_under_two_keys_look_like_those_of_two_people(compared: Compared, way: str) -> None:
    counts = compared[way]
    print(f"{way}: d' {decidability(counts):.3f}, EER {equal_error_rate(counts):.4f}, D_sys {linkability(counts):.4f}")
    assert counts.mated.sum() == 4 * 250 * 3
    assert decidability(counts) < 0.1
    assert abs(equal_error_rate(counts) - 0.5) < 0.03
    assert linkability(counts) < linkability(by_chance(counts, np.random.default_rng(1))) + 0.02
    assert not counts.mated[SYNTHETIC.doubt :].any()


def test_same_measures_find_the_link_where_the_key_stays(compared: Compared) -> None:
    counts = compared["one key"]
    assert decidability(counts) > 8
    assert equal_error_rate(counts) < 0.001
    assert linkability(counts) > 0.99


def test_signs_lose_something_that_the_plain_cosine_has(compared: Compared) -> None:
    assert decidability(compared["plain cosine"]) > decidability(compared["one key"])


def test_strangers_and_looks_are_each_compared_once() -> None:
    rng = np.random.default_rng(2)
    counts = compare(SYNTHETIC, synthetic_people(10, rng), draw_keys(rng))["one key"]
    assert counts.mated.sum() == 10
    assert counts.non_mated.sum() == math.comb(20, 2) - 10


def test_thief_with_the_key_rebuilds_much_and_without_it_nothing() -> None:
    rng = np.random.default_rng(3)
    known, guessed = rebuilt(SYNTHETIC, synthetic_people(10, rng), draw_keys(rng))
    assert 0.65 < known < 0.75
    assert abs(guessed) < 0.05


def test_published_false_match_rate_is_no_smaller_than_what_was_shown() -> None:
    synthetic_people_of_a_run = 16 * math.comb(1000, 2)
    assert upper_bound(0, synthetic_people_of_a_run) <= SYNTHETIC.curve[0].false_match / TRILLION < 1e-6


def test_command_shows_and_draws_photos_and_synthetic_faces(
    few_photos: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["--faces", str(few_photos), "--quick", "16", "--json", "--figure", str(few_photos / "figure.png")])
    studies = msgspec.json.decode(capfdbinary.readouterr().out, type=list[Study])
    assert [study.model for study in studies] == ["dlib-resnet/1", "synthetic/1"]
    assert studies[0].source == "6 photos of 3 people, 4 keys"
    assert studies[0].false_matches.pairs_of_people == 3
    assert (few_photos / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_command_without_photos_says_so_and_compares_synthetic_faces(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["--faces", str(tmp_path / "empty"), "--quick", "16", "--figure", str(tmp_path / "figure.png")])
    printed = capfd.readouterr()
    assert "no photos in" in printed.err
    assert "synthetic/1" in printed.out
    assert "dlib" not in printed.out
    assert (tmp_path / "figure.png").stat().st_size > 10_000
