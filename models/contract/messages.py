"""The contract's messages: what dispensers and the pipeline exchange over MQTT.

Requests and reports are facts, in the past tense; commands are imperatives. Unknown fields are ignored,
so that a newer device works with an older pipeline; an unknown kind is refused.
"""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from models.contract.face_models import FACE_MODELS
from models.contract.topics import Name

__all__ = [
    "LEAST_TEMPLATE_BYTES",
    "LONGEST_REASON",
    "MAX_EXPIRY_S",
    "MOST_TEMPLATE_BYTES",
    "Ack",
    "Answer",
    "Battery",
    "ButtonPressed",
    "Centimetres",
    "Command",
    "Control",
    "Declined",
    "DeclinedBecause",
    "DeviceState",
    "Dispense",
    "Dispensed",
    "FaceSeen",
    "Fault",
    "ForgetRequested",
    "Forgotten",
    "LocalRation",
    "Mode",
    "Number",
    "Placement",
    "Reason",
    "Refuse",
    "RefusedBy",
    "Report",
    "Request",
    "RequestId",
    "Revision",
    "Sign",
    "StaffPressed",
    "Stock",
]

LONGEST_REASON = 300
_WORD_BYTES = 8
LEAST_TEMPLATE_BYTES, MOST_TEMPLATE_BYTES = 64, 512
"""A template is 512 to 4,096 bits, as its face model states; docs/contract.md, Template."""
MAX_EXPIRY_S = 2**32 - 1
"""The largest Message Expiry Interval: a four byte integer (MQTT 5, 3.3.2.3.3)."""

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}\Z")]
"""Chosen by the dispenser, never used twice; 16 characters or more, so that ids of two devices do not collide."""
ModelId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9./-]{0,62}\Z")]
Template = Annotated[bytes, Meta(min_length=LEAST_TEMPLATE_BYTES, max_length=MOST_TEMPLATE_BYTES)]
Epoch = Annotated[int, Meta(ge=0, le=2**53)]
Centimetres = Annotated[int, Meta(ge=0, le=100_000)]
Number = Annotated[int, Meta(ge=1, le=2**53)]
"""A report's number: 1 for a device's first, then increasing by one. 2**53 is the largest exact JSON integer."""
Milliseconds = Annotated[int, Meta(ge=0, le=10**12)]

Mode = Literal["face", "button", "held"]
Placement = Literal["entrance", "inside"]
"""Inside a restroom no camera may capture (docs/field.md, law)."""
Sign = Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
"""The notice for visitors: one paragraph, without characters that could control a display."""
Reason = Annotated[str, Meta(max_length=LONGEST_REASON)]
"""Why a message cannot be read: the place and the expectation, without its content."""
RefusedBy = Literal["quota", "button_budget", "dispenser_limit"]
DeclinedBecause = Literal["late", "closed", "unknown", "retained"]
Fault = Literal["jam", "empty", "power"]
"""What stopped the motor; `power`: a power cut while it ran, so the dispensed length is unknown."""


class _Message(Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    pass


# -- requests: topic .../request ----------------------------------------------------------------------


class FaceSeen(_Message, tag="face", frozen=True, kw_only=True):
    """A visitor asked by face; `template` is protected under the site's key of `epoch`."""

    id: RequestId
    model: ModelId
    epoch: Epoch = 0
    template: Template | None
    """None only inside the pipeline: a template whose key is destroyed. Ingress refuses it from a device."""

    def __post_init__(self) -> None:
        _check_length(self.model, self.template)


class ButtonPressed(_Message, tag="button", frozen=True, kw_only=True):
    """A visitor asked without a face."""

    id: RequestId


class StaffPressed(_Message, tag="staff", frozen=True, kw_only=True):
    """An attendant asked for a visitor."""

    id: RequestId


class ForgetRequested(_Message, tag="forget", frozen=True, kw_only=True):
    """A visitor asked to be forgotten; `template` is that of the face to forget."""

    id: RequestId
    model: ModelId
    epoch: Epoch = 0
    template: Template | None

    def __post_init__(self) -> None:
        _check_length(self.model, self.template)


def _check_length(model_id: str, template: bytes | None) -> None:
    """Raise ValueError unless a template is as long as its model's; any of an unknown model is whole words."""
    if template is None:
        return
    model = FACE_MODELS.get(model_id)
    if model is not None and len(template) != model.template_bytes:
        raise ValueError(f"a template of {model.id} has {model.template_bytes} bytes, not {len(template)}")
    if len(template) % _WORD_BYTES:
        raise ValueError(f"a template is a multiple of {_WORD_BYTES} bytes, not {len(template)}")


Request = FaceSeen | ButtonPressed | StaffPressed | ForgetRequested


# -- commands: topic .../command ----------------------------------------------------------------------


class Dispense(_Message, tag="dispense", frozen=True, kw_only=True):
    """Run the motor for the request, once."""

    request: RequestId
    cm: Centimetres


class Refuse(_Message, tag="refuse", frozen=True, kw_only=True):
    """No paper now. A portion fits again after `retry_after_s`; the button and staff remain."""

    request: RequestId
    reason: RefusedBy
    retry_after_s: int


class Forgotten(_Message, tag="forgotten", frozen=True, kw_only=True):
    """The receipt of a ForgetRequested: how many templates matched and were erased."""

    request: RequestId
    erased: int


class Ack(_Message, tag="noted", frozen=True, kw_only=True):
    """Acknowledges reports: the pipeline has stored them, or cannot read them, for `reason`."""

    numbers: tuple[Number, ...]
    reason: Reason | None = None


Answer = Dispense | Refuse | Forgotten
"""The one answer to a request."""
Command = Answer | Ack


# -- reports: topic .../report ------------------------------------------------------------------------


class _Report(_Message, frozen=True, kw_only=True):
    number: Number
    ago_ms: Milliseconds = 0
    """Age of the event at the publication, by the dispenser's monotonic clock; no wall clock is needed."""


class Dispensed(_Report, tag="dispensed", frozen=True, kw_only=True):
    """The motor ran for a command; `cm` is what came out."""

    request: RequestId
    cm: Centimetres
    fault: Fault | None = None


class Declined(_Report, tag="declined", frozen=True, kw_only=True):
    """A command was not executed; no paper came out."""

    request: RequestId
    reason: DeclinedBecause


class LocalRation(_Report, tag="local", frozen=True, kw_only=True):
    """No answer came in time; the dispenser dispensed a local ration of `cm`."""

    request: RequestId
    cm: Centimetres
    fault: Fault | None = None


class Stock(_Report, tag="stock", frozen=True, kw_only=True):
    """The paper left on the roll."""

    cm: Annotated[int, Meta(ge=0, le=10_000_000)]


class Battery(_Report, tag="battery", frozen=True, kw_only=True):
    """The charge of the battery."""

    percent: Annotated[int, Meta(ge=0, le=100)]


Report = Dispensed | Declined | LocalRation | Stock | Battery


# -- retained -----------------------------------------------------------------------------------------


class Revision(NamedTuple):
    """Orders the controls of a site: compare `at` first, then `offset`. A JSON array of two integers."""

    at: Annotated[int, Meta(ge=0, le=2**53)]
    """milliseconds since 1970 by Kafka's clock; never falls from one control of a site to the next"""
    offset: Annotated[int, Meta(ge=0, le=2**53)]
    """of the event that last changed the site"""


class DeviceState(Struct, frozen=True, kw_only=True):
    """Topic .../state, retained, and the last will with `online` false."""

    online: bool
    sequence: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """Grows from one state of a dispenser to the next, across connections and restarts. 0: not numbered; 1: the first
    one of a dispenser that has lost its memory."""
    firmware: Annotated[str, Meta(max_length=64)] = ""
    mode: Mode = "button"
    model: Annotated[str, Meta(max_length=64)] = ""

    def is_older_than(self, other: "DeviceState") -> bool:
        """Return whether this state was published before the other one, by their sequences."""
        return 1 < self.sequence < other.sequence


class Control(Struct, frozen=True, kw_only=True):
    """Topic fairroll/v1/{site}/control, retained: the present mode and limits of the site."""

    site: Name
    mode: Mode
    revision: Revision = Revision(0, 0)
    """A dispenser ignores a control whose revision is lower than that of one it has received."""
    policy: str
    """The version of the site's policy: the first 12 hex digits of the SHA-256 of its JSON."""
    epoch: Epoch
    ration_cm: Centimetres
    """The local ration, dispensed when no answer comes in time."""
    ration_budget_cm: Centimetres
    """The maximum of local rations in a trailing `window_s`."""
    window_s: Annotated[int, Meta(ge=60, le=86_400)]
    """the bounds are the policy's; without them a hostile control could switch the budget off"""
    placement: Placement = "entrance"
    """inside, a dispenser captures no face whatever `mode` is"""
    sign: Sign = ""
    """the site's own sign text; "": the dispenser's default"""
