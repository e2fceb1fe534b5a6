"""The newest control of a site, of records that come late, again, or cannot be read."""

import random

import pytest
from msgspec import structs

from models.contract.codec import encode
from models.contract.messages import Control, Revision
from models.contract.site_records import Controls, revision_header
from models.errors import MalformedMessage

FACES = Control(
    site="park", mode="face", policy="0123456789ab", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)


def control(at: int, offset: int) -> Control:
    return structs.replace(FACES, revision=Revision(at, offset), mode="held" if offset % 2 else "face")


def taken(controls: Controls, found: Control) -> bool:
    return controls.take(found.site.encode(), encode(found)) is not None


def test_the_highest_revision_is_the_newest_in_whatever_order_they_come() -> None:
    all_of_them = [control(at, offset) for at in (1000, 2000) for offset in range(5)]
    for seed in range(20):
        controls = Controls()
        for found in random.Random(seed).sample(all_of_them, len(all_of_them)):
            controls.take(b"park", encode(found))
        assert dict(controls) == {"park": control(2000, 4)}


def test_a_repeated_record_is_accepted_and_an_outdated_one_is_not() -> None:
    controls = Controls()
    assert taken(controls, control(1000, 2))
    assert taken(controls, control(1000, 2))
    assert not taken(controls, control(1000, 1))
    assert not taken(controls, FACES)


def test_without_revisions_the_last_record_counts() -> None:
    controls = Controls()
    held = structs.replace(FACES, mode="held")
    assert taken(controls, held)
    assert taken(controls, FACES)
    assert controls["park"] == FACES


def test_a_removed_site_returns_only_with_a_higher_revision() -> None:
    controls = Controls()
    taken(controls, control(1000, 2))
    assert controls.take(b"park", None) == "park"
    assert controls["park"] is None
    assert not taken(controls, control(1000, 2))
    assert controls["park"] is None
    assert taken(controls, control(1000, 4))
    assert controls["park"] == control(1000, 4)


def test_a_removal_has_a_revision_too() -> None:
    removal = (revision_header(Revision(1000, 4)),)
    controls = Controls()
    assert controls.take(b"park", None, removal) == "park"
    assert not taken(controls, control(1000, 2))
    assert taken(controls, control(1000, 6))
    assert controls.take(b"park", None, removal) is None
    assert controls["park"] == control(1000, 6)
    with pytest.raises(MalformedMessage):
        controls.take(b"park", None, [("revision", b"soon")])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"park", b"torn"),
        (b"park", encode(structs.replace(FACES, site="lake"))),
        (b"park/gate", encode(FACES)),
        (b"\xff", encode(FACES)),
        (None, encode(FACES)),
        (None, None),
    ],
)
def test_an_unreadable_record_changes_nothing(key: bytes | None, value: bytes | None) -> None:
    controls = Controls()
    taken(controls, control(1000, 2))
    with pytest.raises(MalformedMessage):
        controls.take(key, value)
    assert dict(controls) == {"park": control(1000, 2)}
