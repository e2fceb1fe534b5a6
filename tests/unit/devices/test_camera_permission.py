"""When a camera may look, and what people read before they ask."""

from typing import get_args

import msgspec
import pytest
from msgspec import structs

from devices.machine.camera_permission import CameraBlocked, blocked_text, camera_blocked, sign
from devices.session.site_key import KeyUnavailable
from models.contract.messages import Control, Mode

FACES = Control(
    site="park", mode="face", policy="0123456789ab", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)


def test_a_camera_may_look_only_at_a_site_in_face_mode_whose_key_fits() -> None:
    assert camera_blocked(FACES, None) is None


def test_before_a_control_came_nobody_is_looked_at() -> None:
    assert camera_blocked(None, None) == "no_control"


@pytest.mark.parametrize("mode", ["button", "held"])
def test_no_key_and_no_placement_makes_up_for_the_mode(mode: Mode) -> None:
    assert camera_blocked(structs.replace(FACES, mode=mode, placement="inside"), "key_ahead") == mode


def test_inside_a_restroom_face_mode_is_no_face_mode() -> None:
    assert camera_blocked(structs.replace(FACES, placement="inside"), None) == "inside"


@pytest.mark.parametrize("key_unavailable", get_args(KeyUnavailable))
def test_without_the_key_of_the_epoch_nobody_is_looked_at(key_unavailable: KeyUnavailable) -> None:
    assert camera_blocked(FACES, key_unavailable) == key_unavailable
    assert key_unavailable in blocked_text(key_unavailable)


def test_a_camera_that_does_not_work_looks_at_nobody() -> None:
    assert camera_blocked(FACES, "camera_down") == "camera_down"
    assert camera_blocked(structs.replace(FACES, mode="held"), "camera_down") == "held"


@pytest.mark.parametrize("reason", [word for words in get_args(CameraBlocked) for word in get_args(words) or (words,)])
def test_where_nobody_is_looked_at_the_sign_says_so_and_names_the_button(reason: CameraBlocked) -> None:
    own = structs.replace(FACES, sign="Press face for one picture.")
    assert sign(own, reason) == blocked_text(reason)
    assert blocked_text(reason).endswith("please press the button")


def test_the_sign_says_what_is_processed_how_long_what_else_there_is_and_how_to_be_forgotten() -> None:
    received = sign(FACES, None)
    for text in (
        "a camera takes one picture of you",
        "a code made from it",
        "9 minutes at most",
        "the button",
        "Press forget",
    ):
        assert text in received
    assert "90 seconds at most" in sign(structs.replace(FACES, window_s=90), None)


def test_a_site_s_own_sign_is_shown_instead() -> None:
    assert sign(structs.replace(FACES, sign="Wir fragen zuerst."), None) == "Wir fragen zuerst."


@pytest.mark.parametrize("text", ["\x1b[2J", "two\nlines", "\x9b1m", "x" * 1001])
def test_a_sign_that_could_control_a_display_or_fill_it_is_no_sign(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(structs.asdict(FACES) | {"sign": text}, Control)
