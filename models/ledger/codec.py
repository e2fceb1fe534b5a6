"""Kafka records of the ledger (events, outcomes, rows) as JSON; an unreadable one raises MalformedMessage."""

import msgspec

from models.contract.codec import decode
from models.ledger.events import Event
from models.ledger.outcomes import Outcome
from models.ledger.rows import Row

__all__ = ["decode_event", "decode_outcome", "decode_row"]

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_outcome: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Outcome)
_row: msgspec.json.Decoder[Row] = msgspec.json.Decoder(Row)


def decode_event(payload: bytes) -> Event:
    """Decode a record of `fairroll.events`."""
    return decode(_event, payload)


def decode_outcome(payload: bytes) -> Outcome:
    """Decode a record of `fairroll.decisions`."""
    return decode(_outcome, payload)


def decode_row(payload: bytes) -> Row:
    """Decode a row of the decider's table."""
    return decode(_row, payload)
