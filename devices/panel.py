"""The panel in front of a dispenser: what a person can press, and what the display tells them."""

import asyncio
from typing import Literal, Protocol, assert_never

from devices.moves import Closed
from devices.session import Dispenser, new_id
from models.face.seen import NotSeen, Seen
from models.messages import ButtonPressed, Dispense, FaceSeen, ForgetAsked, Forgotten, Refuse, StaffPressed

__all__ = ["Eye", "Panel", "Press", "Shown", "said"]

Press = Literal["face", "button", "staff", "forget"]
Shown = Closed | NotSeen | Literal["busy", "forgetting", "no_camera"]
"""What came of a press: an answer or a local ration; no usable face; somebody else's turn; not forgotten yet, but the
dispenser goes on asking; no face mode here."""


class Eye(Protocol):
    """Whatever turns the person in front into a template."""

    async def look(self) -> Seen | NotSeen:
        """Look once; nothing but the template is kept."""
        ...


class Panel:
    """One dispenser's panel. The camera looks only after somebody pressed for it, and only at a site in face mode."""

    def __init__(self, dispenser: Dispenser, eye: Eye | None = None, *, receipt_s: float = 5.0) -> None:
        """`receipt_s`: how long somebody stands here to be told that they are forgotten."""
        self._dispenser = dispenser
        self._eye = eye
        self._receipt_s = receipt_s

    async def press(self, what: Press) -> Shown:
        """Wait for what the person gets."""
        match what:
            case "button":
                return await self._dispenser.ask(ButtonPressed(id=new_id())) or "busy"
            case "staff":
                return await self._dispenser.ask(StaffPressed(id=new_id())) or "busy"
            case "face" | "forget":
                return await self._by_face(FaceSeen if what == "face" else ForgetAsked)
            case _:
                assert_never(what)

    async def _by_face(self, kind: type[FaceSeen | ForgetAsked]) -> Shown:
        if self._eye is None or self._dispenser.mode != "face":
            return "no_camera"
        seen = await self._eye.look()
        if isinstance(seen, NotSeen):
            return seen
        request = kind(id=new_id(), model=seen.model, epoch=seen.epoch, template=seen.template)
        try:
            async with asyncio.timeout(self._receipt_s if isinstance(request, ForgetAsked) else None):
                return await self._dispenser.ask(request) or "busy"
        except TimeoutError:
            return "forgetting"


def said(shown: Shown) -> str:
    """The sentence on the display."""
    match shown:
        case "busy":
            return "one moment, somebody else is being served"
        case "forgetting":
            return "you will be forgotten as soon as the site can be reached, and at the end of the window anyway"
        case "no_camera":
            return "no face is looked at here: please press the button"
        case NotSeen(reason=reason):
            return f"no good look ({reason}): please try again, or press the button"
        case Closed(answer=Dispense()):
            return f"{shown.cm} cm, after {1000 * shown.waited_s:.0f} ms"
        case Closed(answer=Refuse() as refused):
            return f"not yet ({refused.reason}): again in {refused.retry_after_s} s, or press the button"
        case Closed(answer=Forgotten(erased=erased)):
            return f"forgotten: {erased} template(s) erased"
        case Closed():
            given = f"{shown.cm} cm by itself: no answer within {shown.waited_s:.1f} s"
            return given if shown.cm else "no paper now: please ask the staff"
        case _:
            assert_never(shown)
