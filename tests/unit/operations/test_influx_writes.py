"""What follows a refused write."""

import pytest

from stream_processors.sink.influx import Outcome, outcome_of

PARSE_1 = "partial write: unable to parse 'no line': invalid field format dropped=0"
TYPE = 'partial write: field type conflict: input field "n" is type float, already exists as type integer dropped={}'


@pytest.mark.parametrize(
    ("status", "answer", "lines", "outcome"),
    [
        (400, PARSE_1, 5_000, Outcome.HALVE),
        (400, PARSE_1, 1, Outcome.REJECTED),
        (400, TYPE.format(1), 5_000, Outcome.HALVE),
        (422, TYPE.format(5_000), 5_000, Outcome.REJECTED),
        (422, TYPE.format(1), 1, Outcome.REJECTED),
        (413, "<html>Request Entity Too Large</html>", 2, Outcome.HALVE),
        (413, "<html>Request Entity Too Large</html>", 1, Outcome.REJECTED),
        (401, "unauthorized", 1, Outcome.LATER),
        (404, "bucket not found", 9, Outcome.LATER),
        (429, "", 9, Outcome.LATER),
        (500, "retention policy not found", 9, Outcome.LATER),
        (0, "", 9, Outcome.LATER),
    ],
)
def test_points_are_rejected_only_where_they_are_at_fault(
    status: int, answer: str, lines: int, outcome: Outcome
) -> None:
    assert outcome_of(status, answer, lines) is outcome
