"""Rules for when the camera may capture, and the sign that visitors read before a press. Pure."""

from typing import Literal, assert_never

from devices.session.site_key import KeyUnavailable
from models.contract.messages import Control

__all__ = ["CameraBlocked", "CameraUnavailable", "blocked_text", "camera_blocked", "sign"]

CameraUnavailable = KeyUnavailable | Literal["camera_down"]
"""Why this dispenser cannot capture at a site in face mode: no key of the epoch, or no working camera."""
CameraBlocked = Literal["no_control", "button", "held", "inside", "no_camera"] | CameraUnavailable
"""Why the camera must not capture: no control was received on this connection; the site works with buttons, is on hold,
or lies inside a restroom; the dispenser has no camera; or it is unavailable."""


def camera_blocked(control: Control | None, unavailable: CameraUnavailable | None) -> CameraBlocked | None:
    """Return why the camera must not capture now; None if it may.

    `control`: the control of this connection, None before one is received. `unavailable`: why this dispenser cannot
    capture.
    """
    match control:
        case None:
            return "no_control"
        case Control(mode="held"):
            return "held"
        case Control(mode="button"):
            return "button"
        case Control(placement="inside"):
            return "inside"
        case _:
            return unavailable


def blocked_text(reason: CameraBlocked) -> str:
    """Return the sentence on the display after a press of face or forget with a blocked camera."""
    match reason:
        case "held":
            return "the camera is switched off here, and no face is remembered: please press the button"
        case "no_control" | "button" | "inside" | "no_camera":
            return "the camera is off here: please press the button"
        case "camera_down":
            return "the camera is not ready: please press the button"
        case "key_ahead" | "key_too_far" | "key_stuck":
            return f"the camera is off here ({reason}): please press the button"
        case _:
            assert_never(reason)


def sign(control: Control, reason: CameraBlocked | None) -> str:
    """Return the sign: what is processed, for how long, the alternative, and how to be forgotten.

    The text of the site's control takes precedence. With a blocked camera the sign is `blocked_text(reason)`.
    """
    if reason:
        return blocked_text(reason)
    return control.sign or (
        "Press face, and a camera takes one picture of you, so that the paper is shared fairly. The picture is deleted"
        " immediately; a code made from it is kept at this site only,"
        f" {_minutes(control.window_s)} at most. You have a choice: the button gives an equal portion without a camera."
        " Press forget, and the code is deleted immediately."
    )


def _minutes(seconds: int) -> str:
    return f"{seconds} seconds" if seconds % 60 else f"{seconds // 60} minutes"
