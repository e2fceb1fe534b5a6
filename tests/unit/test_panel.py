import asyncio
from typing import cast

import pytest

from devices.moves import Closed
from devices.panel import Panel, Press, Shown, said
from devices.session import Dispenser
from models.face.seen import NotSeen, Seen
from models.messages import (
    ButtonPressed,
    Dispense,
    FaceSeen,
    ForgetAsked,
    Forgotten,
    Mode,
    Refuse,
    Request,
    StaffPressed,
)

ID = "request-0000000001"
ANN = Seen(model="synthetic/1", epoch=2, template=bytes(range(64)))


class Standing:
    """In a dispenser's place: a mode, and what was asked."""

    def __init__(self, mode: Mode = "face", *, is_busy: bool = False, is_cut_off: bool = False) -> None:
        self.mode = mode
        self.asked: list[Request] = []
        self._is_busy = is_busy
        self._is_cut_off = is_cut_off

    async def ask(self, request: Request) -> Closed | None:
        self.asked.append(request)
        if self._is_cut_off:
            await asyncio.Event().wait()
        return None if self._is_busy else Closed(request.id, Dispense(request=request.id, cm=60), 0.02, 60)


class Eye:
    """Sees what it is told to see, and counts the looks."""

    def __init__(self, sees: Seen | NotSeen = ANN) -> None:
        self.looks = 0
        self._sees = sees

    async def look(self) -> Seen | NotSeen:
        self.looks += 1
        return self._sees


def panel(standing: Standing, eye: Eye | None = None) -> Panel:
    return Panel(cast("Dispenser", standing), eye)


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ("busy", "one moment, somebody else is being served"),
        ("forgetting", "you will be forgotten as soon as the site can be reached, and at the end of the window anyway"),
        ("no_camera", "no face is looked at here: please press the button"),
        (NotSeen(reason="no_face"), "no good look (no_face): please try again, or press the button"),
        (Closed(ID, Dispense(request=ID, cm=60), 0.0254, 60), "60 cm, after 25 ms"),
        (Closed(ID, Dispense(request=ID, cm=60), 0.02, 22), "22 cm, after 20 ms"),
        (
            Closed(ID, Refuse(request=ID, reason="quota", retry_after_s=440), 0.02),
            "not yet (quota): again in 440 s, or press the button",
        ),
        (Closed(ID, Forgotten(request=ID, erased=1), 0.02), "forgotten: 1 template(s) erased"),
        (Closed(ID, None, 3.0, 60), "60 cm by itself: no answer within 3.0 s"),
        (Closed(ID, None, 3.0), "no paper now: please ask the staff"),
    ],
)
def test_everything_that_can_be_shown_is_a_sentence(shown: Shown, sentence: str) -> None:
    assert said(shown) == sentence


@pytest.mark.parametrize("mode", ["button", "held"])
@pytest.mark.parametrize("press", ["face", "forget"])
async def test_the_camera_looks_at_nobody_where_the_site_is_not_in_face_mode(mode: Mode, press: Press) -> None:
    standing, eye = Standing(mode), Eye()
    assert await panel(standing, eye).press(press) == "no_camera"
    assert (eye.looks, standing.asked) == (0, [])


@pytest.mark.parametrize(("press", "kind"), [("button", ButtonPressed), ("staff", StaffPressed)])
async def test_who_does_not_ask_by_face_is_not_looked_at(press: Press, kind: type[Request]) -> None:
    standing, eye = Standing(), Eye()
    assert isinstance(await panel(standing, eye).press(press), Closed)
    assert eye.looks == 0
    assert [type(request) for request in standing.asked] == [kind]


@pytest.mark.parametrize(("press", "kind"), [("face", FaceSeen), ("forget", ForgetAsked)])
async def test_who_asks_by_face_is_looked_at_once(press: Press, kind: type[FaceSeen | ForgetAsked]) -> None:
    standing, eye = Standing(), Eye()
    assert isinstance(await panel(standing, eye).press(press), Closed)
    [request] = standing.asked
    assert eye.looks == 1
    assert request == kind(id=request.id, model=ANN.model, epoch=ANN.epoch, template=ANN.template)


@pytest.mark.parametrize("press", ["face", "forget"])
async def test_a_dispenser_without_a_camera_says_so(press: Press) -> None:
    assert await panel(Standing()).press(press) == "no_camera"


async def test_who_could_not_be_seen_is_told_why_and_nothing_is_asked() -> None:
    standing = Standing()
    assert await panel(standing, Eye(NotSeen(reason="blurred"))).press("face") == NotSeen(reason="blurred")
    assert standing.asked == []


@pytest.mark.parametrize("press", ["face", "button", "staff"])
async def test_who_comes_while_somebody_else_is_served_is_told_to_wait(press: Press) -> None:
    assert await panel(Standing(is_busy=True), Eye()).press(press) == "busy"


async def test_nobody_waits_for_ever_to_be_forgotten() -> None:
    standing = Standing(is_cut_off=True)
    shown = await Panel(cast("Dispenser", standing), Eye(), receipt_s=0.01).press("forget")
    assert shown == "forgetting"
    assert len(standing.asked) == 1


async def test_every_press_has_an_id_of_its_own() -> None:
    standing = Standing()
    for _ in range(20):
        await panel(standing).press("button")
    assert len({request.id for request in standing.asked}) == 20
