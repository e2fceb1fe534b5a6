"""A calibration of people who are random vectors; and of a few photos of ../shared, through the whole command."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from msgspec import structs
from numpy.typing import NDArray

from infra.calibration.picture import picture
from infra.calibration.report import markdown
from infra.commands.setup.calibrate import calibrate as command
from models.contract.face_models import FaceModel, face_model
from models.errors import ConfigError
from models.face.calibration.people import People
from models.face.calibration.protocol import accuracy, read_pairs
from models.face.calibration.space import learn_space
from models.face.calibration.study import Calibration, Data, calibrate
from models.face.refinement import refine_all

SHARED = Path(os.path.normpath(Path(__file__).parents[3] / "../shared"))
BASE = face_model("mobilefacenet/1")
KEYS = [bytes([number]) * 32 for number in range(2)]
DIMENSIONS = BASE.dimensions


def units(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    shortened: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return shortened


def people(rng: np.random.Generator, first: int, count: int) -> People:
    """Two captures of each, at a cosine of some .8."""
    faces = np.repeat(rng.standard_normal((count, DIMENSIONS)), 2, axis=0)
    return People(units(faces + 0.5 * rng.standard_normal(faces.shape)), np.repeat(np.arange(first, first + count), 2))


def group(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Faces from another camera, which moves all of them along three directions."""
    common = 2 * rng.standard_normal((count, 3)) @ np.eye(3, DIMENSIONS) * 3
    common[:, 0] += 8
    return units(rng.standard_normal((count, DIMENSIONS)) + common)


@pytest.fixture(scope="module")
def data() -> Data:
    rng = np.random.default_rng(11)
    return Data(
        learned=people(rng, 0, 120),
        judged=people(rng, 120, 120),
        groups={name: group(rng, 70) for name in ("a", "b", "c")},
        photos=690,
        turned_away={"blurred": 3},
        source="random vectors",
    )


@pytest.fixture(scope="module")
def found(data: Data) -> Calibration:
    return calibrate(data, BASE, "test/1", KEYS, (100, 10_000))


def share(model: FaceModel, rows: NDArray[np.float32], cosine: float) -> float:
    refined = refine_all(model, rows)
    return float(np.mean((refined @ refined.T)[np.triu_indices(len(rows), 1)] > cosine))


def test_what_moves_all_faces_of_a_camera_is_removed(data: Data) -> None:
    rows = group(np.random.default_rng(12), 200)
    bare = structs.replace(BASE, centre=(), nuisance=())
    learned = learn_space(BASE, data.learned, np.concatenate(list(data.groups.values())))
    assert share(bare, rows, 0.4) > 0.1
    assert share(learned, rows, 0.4) < 0.01


def test_directions_are_orthonormal(found: Calibration) -> None:
    directions = np.array(found.model.nuisance) / 2**20
    assert directions @ directions.T == pytest.approx(np.eye(len(directions)), abs=1e-4)


def test_calibration_makes_a_model_with_a_threshold_for_a_crowd(found: Calibration) -> None:
    assert (found.model.id, found.model.people, found.judged_people) == ("test/1", 120 + 210, 120)
    assert found.model.doubt <= found.model.least_threshold
    assert found.missed < 0.05
    point = found.model.threshold(100, 10_000)
    assert point is not None
    assert point.missed < 0.1
    assert [each.name for each in found.groups] == ["people", "a", "b", "c"]


def test_report_and_picture_have_every_group_and_crowd(found: Calibration) -> None:
    text = markdown(found)
    assert "| a | 70 |" in text
    assert "blurred 3" in text
    assert "| 10,000 | 1,000 |" in text
    assert picture(found).startswith("<svg")


def test_small_group_is_refused(data: Data) -> None:
    few = structs.replace(data, groups={"few": data.groups["a"][:5]})
    with pytest.raises(ConfigError, match="group few has 5 faces; 30 are needed"):
        calibrate(few, BASE, "test/1", KEYS, (100,))


def test_people_with_one_photo_each_are_refused(data: Data) -> None:
    single = structs.replace(data, judged=data.judged.one_photo_each())
    with pytest.raises(ConfigError, match="no person has two photos"):
        calibrate(single, BASE, "test/1", KEYS, (100,))


def test_accuracy_is_judged_at_the_threshold_of_the_other_folds() -> None:
    scores = np.array([0.9, 0.1, 0.8, 0.2, 0.4, 0.3])
    mated = np.array([True, False, True, False, False, True])
    found = accuracy(scores, mated, np.array([0, 0, 1, 1, 2, 2]))
    assert found.mean == pytest.approx(100 * (1 + 0.5 + 0.5) / 3)


def test_pairs_are_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_text("Ann\t1\t2\nAnn\t1\tBob\t3\n")
    one, two = read_pairs(tmp_path / "pairs")
    assert (one.is_mated, two.is_mated, two.other) == (True, False, ("Bob", 3))
    (tmp_path / "pairs").write_text("Ann\t1\t2\nAnn one two\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_pairs(tmp_path / "pairs")


def test_command_calibrates_a_few_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lfw, groups = SHARED / "data/lfw", SHARED / "data/utkface"
    if not (lfw.is_dir() and groups.is_dir() and (SHARED / "models/mobilefacenet.onnx").exists()):
        pytest.skip("Labeled Faces in the Wild, UTKFace and the mobile network are not next to the repository")
    several = [folder for folder in sorted(lfw.iterdir()) if folder.is_dir() and len(list(folder.glob("*.jpg"))) > 1]
    for person in several[:90]:
        _link(tmp_path / "people" / person.name, sorted(person.glob("*.jpg"))[:2])
    for name in ("black-male", "white-male"):  # most of their photos pass the gate
        _link(tmp_path / "groups" / name, sorted((groups / name).glob("*.jpg"))[:60])
    _link(tmp_path / "data" / "weights", [])
    (tmp_path / "data/weights/MobileFaceNet.onnx").symlink_to(SHARED / "models/mobilefacenet.onnx")
    monkeypatch.setenv("FAIRROLL_DATA", str(tmp_path / "data"))
    out = tmp_path / "out"
    options = [str(tmp_path / "people"), "--groups", str(tmp_path / "groups"), "--out", str(out), "--id", "few/1"]
    result = CliRunner().invoke(command, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    model = msgspec.json.decode((out / "few-1.json").read_bytes(), type=FaceModel)
    assert (model.id, model.weights, model.bits) == ("few/1", "mobilefacenet", 2048)
    report = msgspec.json.decode((out / "report.json").read_bytes(), type=Calibration)
    assert report.roc[1][1] < 0.2
    assert sorted(path.name for path in out.iterdir()) == ["few-1.json", "picture.svg", "report.json", "report.md"]


def _link(folder: Path, photos: list[Path]) -> None:
    folder.mkdir(parents=True)
    for photo in photos:
        (folder / photo.name).symlink_to(photo)
