"""When a camera may look, and what people read about it before they ask. Pure."""

from typing import Literal, assert_never

from devices.session.site_key import Astray
from models.contract.messages import Control

__all__ = ["Faceless", "Unable", "faceless", "sign", "why_not"]

Unable = Astray | Literal["camera_down"]
"""Why this dispenser cannot look at a site that works with faces: no key of the epoch, or no camera that works."""
Faceless = Literal["no_control", "button", "held", "inside", "no_camera"] | Unable
"""Why no camera looks: this connection has not told yet how the site works; the site works without faces, was
switched to that by an operator, or lies where nobody may be looked at; there is no camera; or this one is unable."""


def faceless(control: Control | None, unable: Unable | None) -> Faceless | None:
    """Why no camera may look at anybody now; None where it may.

    `control`: the one of this connection, if it came. `unable`: why this dispenser cannot look.
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
            return unable


def why_not(reason: Faceless) -> str:
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


def sign(control: Control, reason: Faceless | None) -> str:
    """What is processed, how long, what there is instead, how to be forgotten: the site's words, or these.

    Where nobody is looked at, it says that.
    """
    if reason:
        return why_not(reason)
    return control.sign or (
        "Press face, and a camera looks at you once, so that the paper is shared fairly. The picture is dropped at"
        " once; a code made from it is kept for this site alone,"
        f" {_minutes(control.window_s)} at most. You need not: the button gives an equal portion without a camera."
        " Press forget, and you are forgotten at once."
    )


def _minutes(seconds: int) -> str:
    return f"{seconds} seconds" if seconds % 60 else f"{seconds // 60} minutes"
