"""What the MQTT broker retains, compared with the controls of Kafka."""

from msgspec import structs

from infra.status.controls import differences, newest_values
from models.contract.codec import encode
from models.contract.messages import Control, Revision
from models.contract.site_records import revision_header
from tests.unit.operations.test_readable_records import Kept

HELD = Control(
    site="park",
    mode="held",
    revision=Revision(1000, 4),
    policy="0123456789ab",
    epoch=3,
    ration_cm=60,
    ration_budget_cm=6000,
    window_s=540,
)
FACES = structs.replace(HELD, mode="face", revision=Revision(1000, 2))


def test_a_control_that_is_missing_another_or_not_kafkas_is_named() -> None:
    found = differences(
        {"park": b"1", "lake": b"1", "moon": b"", "wood": b"1"}, {"lake": b"2", "moon": b"1", "wood": b"1"}
    )
    assert {site: sentence.partition(": ")[0] for site, sentence in found.items()} == {
        "park": "the MQTT broker retains no control of park",
        "lake": "the MQTT broker retains another control of lake",
        "moon": "the MQTT broker retains a control, which Kafka does not have, of moon",
    }


def test_the_newest_control_counts_and_one_that_cannot_be_read_is_not_compared() -> None:
    late = [Kept(b"park", encode(HELD)), Kept(b"park", encode(FACES))]
    assert newest_values(late) == {"park": encode(HELD)}
    removed = [Kept(b"park", None, headers=(revision_header(Revision(1000, 6)),)), Kept(b"park", encode(HELD))]
    assert newest_values(removed) == {"park": b""}
    assert differences(newest_values([Kept(b"park", b"torn")]), {"park": b"anything"}) == {}
