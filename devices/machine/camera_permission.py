"""When a camera may look, and what people read about it before they ask. Pure."""

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
    """Why no camera may look at anybody now; None where it may.

    `control`: the one of this connection, if it came. `unavailable`: why this dispenser cannot look.
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
    """The sentence on the display for whoever wanted to be looked at."""
    match reason:
        case "held":
            return "faces are switched off here, and none is remembered: please press the button"
        case "no_control" | "button" | "inside" | "no_camera":
            return "no face is looked at here: please press the button"
        case "camera_down":
            return "the camera is not ready: please press the button"
        case "key_ahead" | "key_too_far" | "key_stuck":
            return f"no face is looked at here ({reason}: the site's key does not fit): please press the button"
        case _:
            assert_never(reason)


def sign(control: Control, reason: CameraBlocked | None) -> str:
    """What is processed, how long, what there is instead, how to be forgotten: the site's words, or these.

    Where nobody is looked at, it says that.
    """
    if reason:
        return blocked_text(reason)
    return control.sign or (
        "Press face, and a camera looks at you once, so that the paper is shared fairly. The picture is dropped at"
        " once; a code made from it is kept for this site alone,"
        f" {_minutes(control.window_s)} at most. You need not: the button gives an equal portion without a camera."
        " Press forget, and you are forgotten at once."
    )


def _minutes(seconds: int) -> str:
    return f"{seconds} seconds" if seconds % 60 else f"{seconds // 60} minutes"
