import pytest

from models.contract.messages import Ack, Answer, Control, Dispense, Forgotten, Refuse, Revision
from models.contract.topics import Topics
from models.ledger.outcomes import Answered, ControlChanged, Outcome, ReportKept, SiteCounted
from stream_processors.egress.service import Command as Published
from stream_processors.egress.service import on_outcome

TOPICS = Topics()

NOW = 1_700_000_000_000
ID = "request-0000000001"
TOPIC = "fairroll/v1/park/gate/command"


def answered(command: Answer, expires_at: int | None = None) -> Answered:
    return Answered(
        site="park",
        device="gate",
        offset=7,
        at=NOW - 50,
        by="face",
        command=command,
        expires_at=expires_at,
        visitor="aaaabbbbccccdddd",
        score=500,
    )


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (Dispense(request=ID, cm=60), b'{"kind":"dispense","request":"request-0000000001","cm":60}'),
        (
            Refuse(request=ID, reason="quota", retry_after_s=9),
            b'{"kind":"refuse","request":"request-0000000001","reason":"quota","retry_after_s":9}',
        ),
        (Forgotten(request=ID, erased=1), b'{"kind":"forgotten","request":"request-0000000001","erased":1}'),
    ],
)
def test_an_answer_goes_to_its_dispenser_and_carries_nothing_but_the_command(command: Answer, payload: bytes) -> None:
    assert on_outcome(answered(command), NOW, TOPICS) == Published(TOPIC, payload, None)


@pytest.mark.parametrize(
    ("left_ms", "expiry_s"),
    [(3000, 3), (2999, 2), (1999, 1), (1000, 1), (1, 1), (0, 1), (-60_000, 1), (2**32 * 1000 + 900, 2**32 - 1)],
)
def test_a_command_expires_with_the_patience_and_a_late_one_is_published_all_the_same(
    left_ms: int, expiry_s: int
) -> None:
    command = on_outcome(answered(Dispense(request=ID, cm=60), NOW + left_ms), NOW, TOPICS)
    assert command
    assert command.expiry_s == expiry_s


def test_a_kept_report_is_noted_without_hurry() -> None:
    kept = ReportKept(site="park", device="gate", offset=7, at=NOW, command=Ack(numbers=(3,)), what="stock")
    assert on_outcome(kept, NOW, TOPICS) == Published(TOPIC, b'{"kind":"noted","numbers":[3]}', None)


@pytest.mark.parametrize(
    "outcome",
    [
        SiteCounted(site="park", offset=7, at=NOW, templates=1, accounts=2, oldest_s=3.0),
        ControlChanged(
            site="park",
            offset=7,
            at=NOW,
            control=Control(
                site="park",
                mode="face",
                policy="0123456789ab",
                epoch=0,
                ration_cm=60,
                ration_budget_cm=6000,
                window_s=540,
            ),
            revision=Revision(NOW, 7),
        ),
    ],
)
def test_what_concerns_no_single_dispenser_is_no_command(outcome: Outcome) -> None:
    assert on_outcome(outcome, NOW, TOPICS) is None
