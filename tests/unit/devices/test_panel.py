import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from devices.hardware.panel import Panel, Press, Shown, display_text
from devices.machine.actions import RequestClosed
from devices.machine.camera_permission import CameraBlocked
from devices.session.session import Dispenser
from models.contract.messages import (
    ButtonPressed,
    Control,
    Dispense,
    FaceSeen,
    ForgetRequested,
    Forgotten,
    Refuse,
    Request,
    StaffPressed,
)
from models.face.capture_result import NotSeen, Seen

ID = "request-0000000001"
CONTROL = Control(
    site="park", mode="face", policy="0123456789ab", epoch=2, ration_cm=60, ration_budget_cm=6000, window_s=540
)
ANN = Seen(model="synthetic/1", epoch=2, template=bytes(range(64)))


class Standing:
    """A stand-in for the dispenser: why its camera is blocked, and the requests that it received."""

    def __init__(
        self,
        camera_blocked: CameraBlocked | None = None,
        *,
        is_busy: bool = False,
        is_cut_off: bool = False,
        is_given_up: bool = False,
    ) -> None:
        self.camera_blocked = camera_blocked
        self.control = CONTROL
        self.asked: list[Request] = []
        self._is_busy = is_busy
        self._is_cut_off = is_cut_off
        self._is_given_up = is_given_up

    @property
    def is_free(self) -> bool:
        return not self._is_busy

    async def ask(self, request: Request) -> RequestClosed | None:
        self.asked.append(request)
        if self._is_cut_off:
            await asyncio.Event().wait()
        if self._is_given_up:
            return RequestClosed(request.id, None, 1_000)
        return None if self._is_busy else RequestClosed(request.id, Dispense(request=request.id, cm=60), 20, 60)


class FaceCapture:
    """Captures what the test specifies, and counts the captures; `meanwhile` is what happens during one."""

    def __init__(self, sees: Seen | NotSeen = ANN, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.captures = 0
        self._sees = sees
        self._meanwhile = meanwhile

    async def capture(self) -> Seen | NotSeen:
        self.captures += 1
        self._meanwhile()
        return self._sees


def panel(standing: Standing, eye: FaceCapture | None = None) -> Panel:
    return Panel(cast("Dispenser", standing), eye)


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ("busy", "one moment please, another visitor is being served"),
        ("forgetting", "you will be forgotten as soon as the site can be reached, and at the end of the window anyway"),
        ("nothing_to_forget", "the camera is switched off here, and no face is remembered: there is nothing to forget"),
        ("no_camera", "the camera is off here: please press the button"),
        ("held", "the camera is switched off here, and no face is remembered: please press the button"),
        (
            "key_ahead",
            "the camera is off here (key_ahead): please press the button",
        ),
        (NotSeen(reason="no_face"), "the camera saw no clear face (no_face): please try again, or press the button"),
        (RequestClosed(ID, Dispense(request=ID, cm=60), 25, 60), "60 cm, after 25 ms"),
        (RequestClosed(ID, Dispense(request=ID, cm=60), 20, 22), "22 cm, after 20 ms"),
        (
            RequestClosed(ID, Refuse(request=ID, reason="quota", retry_after_s=440), 20),
            "not yet (quota): again in 440 s, or press the button",
        ),
        (RequestClosed(ID, Forgotten(request=ID, erased=1), 20), "forgotten: 1 template(s) erased"),
        (RequestClosed(ID, None, 3_000, 60), "60 cm, local ration: no answer within 3.0 s"),
        (RequestClosed(ID, None, 3_000), "no paper now: please ask the staff"),
    ],
)
def test_everything_that_can_be_shown_is_a_sentence(shown: Shown, sentence: str) -> None:
    assert display_text(shown) == sentence


@pytest.mark.parametrize("reason", ["no_control", "button", "inside", "key_ahead", "key_too_far", "key_stuck"])
@pytest.mark.parametrize("press", ["face", "forget"])
async def test_a_blocked_camera_captures_nothing_and_the_display_shows_the_reason(
    reason: CameraBlocked, press: Press
) -> None:
    standing, eye = Standing(reason), FaceCapture()
    assert await panel(standing, eye).press(press) == reason
    assert (eye.captures, standing.asked) == (0, [])


@pytest.mark.parametrize(("press", "shown"), [("face", "held"), ("forget", "nothing_to_forget")])
async def test_on_a_held_site_faces_are_switched_off_and_there_is_nothing_to_forget(press: Press, shown: Shown) -> None:
    standing, eye = Standing("held"), FaceCapture()
    assert await panel(standing, eye).press(press) == shown
    assert (eye.captures, standing.asked) == (0, [])
    assert isinstance(await panel(standing, eye).press("button"), RequestClosed)


@pytest.mark.parametrize(("press", "shown"), [("face", "held"), ("forget", "nothing_to_forget")])
async def test_a_capture_during_which_a_hold_comes_makes_no_request(press: Press, shown: Shown) -> None:
    standing = Standing()
    eye = FaceCapture(meanwhile=lambda: setattr(standing, "camera_blocked", "held"))
    assert await panel(standing, eye).press(press) == shown
    assert (eye.captures, standing.asked) == (1, [])


def test_the_sign_is_that_of_the_site_where_there_is_a_camera() -> None:
    assert "9 minutes" in panel(Standing(), FaceCapture()).sign
    assert panel(Standing("held"), FaceCapture()).sign.startswith("the camera is switched off here")
    assert panel(Standing()).sign == ""


@pytest.mark.parametrize(("press", "kind"), [("button", ButtonPressed), ("staff", StaffPressed)])
async def test_a_press_of_button_or_staff_captures_nothing(press: Press, kind: type[Request]) -> None:
    standing, eye = Standing(), FaceCapture()
    assert isinstance(await panel(standing, eye).press(press), RequestClosed)
    assert eye.captures == 0
    assert [type(request) for request in standing.asked] == [kind]


@pytest.mark.parametrize(("press", "kind"), [("face", FaceSeen), ("forget", ForgetRequested)])
async def test_a_press_of_face_captures_once(press: Press, kind: type[FaceSeen | ForgetRequested]) -> None:
    standing, eye = Standing(), FaceCapture()
    assert isinstance(await panel(standing, eye).press(press), RequestClosed)
    [request] = standing.asked
    assert eye.captures == 1
    assert request == kind(id=request.id, model=ANN.model, epoch=ANN.epoch, template=ANN.template)


@pytest.mark.parametrize("press", ["face", "forget"])
async def test_a_dispenser_without_a_camera_shows_that(press: Press) -> None:
    assert await panel(Standing()).press(press) == "no_camera"


async def test_a_capture_without_a_template_shows_the_reason_and_makes_no_request() -> None:
    standing = Standing()
    assert await panel(standing, FaceCapture(NotSeen(reason="blurred"))).press("face") == NotSeen(reason="blurred")
    assert standing.asked == []


@pytest.mark.parametrize("press", ["face", "button", "staff"])
async def test_a_press_while_a_visitor_is_served_shows_busy_and_captures_nothing(press: Press) -> None:
    eye = FaceCapture()
    assert await panel(Standing(is_busy=True), eye).press(press) == "busy"
    assert eye.captures == 0


TEN_QUICK: tuple[Press, ...] = ("face", "forget") * 5


class SlowFaceCapture:
    """Sees Ann as soon as a test lets it."""

    def __init__(self) -> None:
        self.captures = 0
        self.may_see = asyncio.Event()

    async def capture(self) -> Seen | NotSeen:
        self.captures += 1
        await self.may_see.wait()
        return ANN


async def pressed_during_a_look(first: Press, *others: Press) -> tuple[Shown, list[Shown], list[type[Request]]]:
    """What the first press shows, what those that come during its look show, and what was asked."""
    standing, eye = Standing(), SlowFaceCapture()
    gate = Panel(cast("Dispenser", standing), eye)
    looking = asyncio.create_task(gate.press(first))
    await asyncio.sleep(0)
    shown = [await asyncio.wait_for(gate.press(press), 5) for press in others]
    eye.may_see.set()
    assert eye.captures == 1
    return await looking, shown, [type(request) for request in standing.asked]


@pytest.mark.parametrize("first", ["face", "forget"])
async def test_ten_quick_presses_of_face_are_one_capture_and_one_request(first: Press) -> None:
    shown, others, asked = await pressed_during_a_look(first, *TEN_QUICK)
    assert isinstance(shown, RequestClosed)
    assert others == ["busy"] * 10
    assert asked == [FaceSeen if first == "face" else ForgetRequested]


@pytest.mark.parametrize("press", ["button", "staff"])
async def test_a_button_pressed_during_a_capture_is_served_and_the_capture_gives_no_second_portion(
    press: Press,
) -> None:
    shown, [served], asked = await pressed_during_a_look("face", press)
    assert isinstance(served, RequestClosed)
    assert shown == "busy"
    assert asked == [ButtonPressed if press == "button" else StaffPressed]


async def test_a_forget_request_is_served_during_a_button_press() -> None:
    shown, [served], asked = await pressed_during_a_look("forget", "button")
    assert isinstance(served, RequestClosed)
    assert isinstance(shown, RequestClosed)
    assert asked == [ButtonPressed, ForgetRequested]


async def test_a_failed_capture_does_not_block_the_next_one() -> None:
    def fail() -> None:
        raise OSError("no camera")

    standing, eye = Standing(), FaceCapture(meanwhile=fail)
    gate = panel(standing, eye)
    for _ in range(2):
        with pytest.raises(OSError, match="no camera"):
            await gate.press("face")
    assert eye.captures == 2


async def test_waiting_for_a_forget_receipt_has_a_timeout() -> None:
    standing = Standing(is_cut_off=True)
    shown = await Panel(cast("Dispenser", standing), FaceCapture(), receipt_s=0.01).press("forget")
    assert shown == "forgetting"
    assert len(standing.asked) == 1


async def test_a_dropped_forget_request_shows_no_receipt() -> None:
    standing = Standing(is_given_up=True)
    assert await panel(standing, FaceCapture()).press("forget") == "forgetting"


async def test_every_press_has_an_id_of_its_own() -> None:
    standing = Standing()
    for _ in range(20):
        await panel(standing).press("button")
    assert len({request.id for request in standing.asked}) == 20
