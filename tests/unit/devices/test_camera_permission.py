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


def test_a_camera_may_capture_only_at_a_site_in_face_mode_with_a_valid_key() -> None:
    assert camera_blocked(FACES, None) is None


def test_no_capture_before_the_first_control() -> None:
    assert camera_blocked(None, None) == "no_control"


@pytest.mark.parametrize("mode", ["button", "held"])
def test_no_key_and_no_placement_makes_up_for_the_mode(mode: Mode) -> None:
    assert camera_blocked(structs.replace(FACES, mode=mode, placement="inside"), "key_ahead") == mode


def test_face_mode_inside_a_restroom_captures_nothing() -> None:
    assert camera_blocked(structs.replace(FACES, placement="inside"), None) == "inside"


@pytest.mark.parametrize("key_unavailable", get_args(KeyUnavailable))
def test_without_the_key_of_the_epoch_nothing_is_captured(key_unavailable: KeyUnavailable) -> None:
    assert camera_blocked(FACES, key_unavailable) == key_unavailable
    assert key_unavailable in blocked_text(key_unavailable)


def test_a_broken_camera_captures_nothing() -> None:
    assert camera_blocked(FACES, "camera_down") == "camera_down"
    assert camera_blocked(structs.replace(FACES, mode="held"), "camera_down") == "held"


@pytest.mark.parametrize("reason", [word for words in get_args(CameraBlocked) for word in get_args(words) or (words,)])
def test_with_a_blocked_camera_the_sign_shows_that_and_names_the_button(reason: CameraBlocked) -> None:
    own = structs.replace(FACES, sign="Press face for one picture.")
    assert sign(own, reason) == blocked_text(reason)
    assert blocked_text(reason).endswith("please press the button")


def test_the_sign_states_purpose_duration_alternative_and_how_to_be_forgotten() -> None:
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
def test_a_sign_with_control_characters_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(structs.asdict(FACES) | {"sign": text}, Control)
