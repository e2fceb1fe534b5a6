"""The panel of a dispenser: the buttons that a visitor can press, and the text on the display."""

import asyncio
from typing import Literal, Protocol, assert_never

from devices.machine.actions import RequestClosed
from devices.machine.camera_permission import CameraBlocked, blocked_text, sign
from devices.session.session import Dispenser, new_id
from models.contract.messages import ButtonPressed, Dispense, FaceSeen, ForgetRequested, Forgotten, Refuse, StaffPressed
from models.face.capture_result import NotSeen, Seen

__all__ = ["FaceCapture", "Panel", "Press", "Shown", "display_text"]

Press = Literal["face", "button", "staff", "forget"]
Shown = RequestClosed | NotSeen | CameraBlocked | Literal["busy", "forgetting", "nothing_to_forget"]
"""The result of a press: an answer or a local ration; no usable face; the reason why the camera is blocked; another
request is open; the request to be forgotten is still sent; no template is stored at a held site."""


class FaceCapture(Protocol):
    """Captures the face of the visitor as a template."""

    async def capture(self) -> Seen | NotSeen:
        """Capture once; only the template is kept."""
        ...


class Panel:
    """The panel of one dispenser. The camera captures only after a press of face or forget, and only in face mode."""

    def __init__(
        self, dispenser: Dispenser, face_capture: FaceCapture | None = None, *, receipt_s: float = 5.0
    ) -> None:
        """`receipt_s`: how long a visitor waits for the receipt of a request to be forgotten."""
        self._dispenser = dispenser
        self._face_capture = face_capture
        self._receipt_s = receipt_s
        self._is_capturing = False
        self._asked = 0
        """number of presses that requested paper"""

    async def press(self, what: Press) -> Shown:
        """Handle a press and return its result. During another request: "busy", without a capture.

        A button press during a capture is served, and the capture then makes no request by face: a visitor who presses
        both gets one portion.
        """
        match what:
            case "button":
                return await self._ask(ButtonPressed(id=new_id()))
            case "staff":
                return await self._ask(StaffPressed(id=new_id()))
            case "face":
                return await self._by_face() if self._dispenser.is_free else "busy"
            case "forget":
                return await self._forget()
            case _:
                assert_never(what)

    @property
    def sign(self) -> str:
        """The text that visitors read before a press; "" without a camera and before the first control."""
        control = self._dispenser.control
        return sign(control, self._dispenser.camera_blocked) if control and self._face_capture else ""

    async def _ask(self, request: ButtonPressed | StaffPressed | FaceSeen) -> Shown:
        self._asked += 1
        return await self._dispenser.ask(request) or "busy"

    async def _by_face(self) -> Shown:
        asked = self._asked
        seen = await self._capture()
        if not isinstance(seen, Seen):
            return seen
        if self._asked != asked:
            return "busy"
        return await self._ask(FaceSeen(id=new_id(), model=seen.model, epoch=seen.epoch, template=seen.template))

    async def _capture(self) -> Seen | NotSeen | CameraBlocked | Literal["busy"]:
        """Capture if the camera is not blocked; drop the template if it is blocked after the capture."""
        if self._face_capture is None:
            return "no_camera"
        if why := self._dispenser.camera_blocked:
            return why
        if self._is_capturing:
            return "busy"
        self._is_capturing = True
        try:
            seen = await self._face_capture.capture()
        finally:
            self._is_capturing = False
        return self._dispenser.camera_blocked or seen

    async def _forget(self) -> Shown:
        seen = await self._capture()
        if not isinstance(seen, Seen):
            return "nothing_to_forget" if seen == "held" else seen
        request = ForgetRequested(id=new_id(), model=seen.model, epoch=seen.epoch, template=seen.template)
        try:
            async with asyncio.timeout(self._receipt_s):
                closed = await self._dispenser.ask(request)
        except TimeoutError:
            return "forgetting"
        return closed if closed and closed.answer else "forgetting"


def display_text(shown: Shown) -> str:
    """Return the sentence on the display."""
    match shown:
        case "busy":
            return "one moment please, another visitor is being served"
        case "forgetting":
            return "you will be forgotten as soon as the site can be reached, and at the end of the window anyway"
        case "nothing_to_forget":
            return "the camera is switched off here, and no face is remembered: there is nothing to forget"
        case NotSeen(reason=reason):
            return f"the camera saw no clear face ({reason}): please try again, or press the button"
        case RequestClosed():
            return _closed_text(shown)
        case _:
            return blocked_text(shown)


def _closed_text(closed: RequestClosed) -> str:
    match closed.answer:
        case Dispense():
            return f"{closed.cm} cm, after {closed.waited_ms} ms"
        case Refuse() as refused:
            return f"not yet ({refused.reason}): again in {refused.retry_after_s} s, or press the button"
        case Forgotten(erased=erased):
            return f"forgotten: {erased} template(s) erased"
        case None if closed.cm:
            return f"{closed.cm} cm, local ration: no answer within {closed.waited_ms / 1000:.1f} s"
        case None:
            return "no paper now: please ask the staff"
        case _:
            assert_never(closed.answer)
