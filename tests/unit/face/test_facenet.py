import pickle
from pathlib import Path

import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from PIL import Image

from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.image import Face
from models.face.networks.facenet_embedder import FaceNetEmbedder, load_facenet


def test_weights_with_a_classifier_load_and_embed(
    tmp_path: Path, astronaut: Image.Image, astronauts_face: Face
) -> None:
    torch.manual_seed(1)
    state = InceptionResnetV1(classify=True, num_classes=8631).state_dict()
    assert "logits.weight" in state
    torch.save(state, tmp_path / "weights.pt")
    facenet = FaceNetEmbedder.from_file(face_model("facenet-vggface2/1"), tmp_path / "weights.pt")
    assert facenet.embed(astronaut, astronauts_face).shape == (512,)


@pytest.mark.parametrize("kind", ["lacking", "foreign", "list", "text", "empty", "missing"])
def test_file_without_the_networks_weights_is_a_configuration_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.pt"
    match kind:
        case "lacking":
            torch.save({"last_linear.weight": torch.zeros(512, 1792)}, path)
        case "foreign":
            torch.save({"a": torch.zeros(1)}, path)
        case "list":
            torch.save([1, 2], path)
        case "text":
            path.write_text("<html>not found</html>")
        case "empty":
            path.touch()
    with pytest.raises(ConfigError, match="Delete it and fetch it again"):
        load_facenet(path)


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("trapped"),)


def test_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(pickle.dumps(_Trap(), protocol=2))
    with pytest.raises(ConfigError):
        load_facenet(tmp_path / "weights.pt")
    assert not (tmp_path / "trapped").exists()
