"""Events and actions of the dispenser's state machine."""

from msgspec import Struct

from models.contract.messages import Answer, Centimetres, Command, Control, Fault, Report, Request

__all__ = [
    "Action",
    "CommandReceived",
    "Connected",
    "Connecting",
    "ControlLost",
    "ControlReceived",
    "Disconnected",
    "Event",
    "Measured",
    "MotorStopped",
    "RequestClosed",
    "RequestMade",
    "RunMotor",
    "SendReport",
    "SendRequest",
    "StepKey",
    "TimePassed",
]


# -- events -------------------------------------------------------------------------------------------


class RequestMade(Struct, frozen=True):
    """A visitor made a request; `patience_ms` is how long the visitor waits for the answer."""

    request: Request
    patience_ms: int


class CommandReceived(Struct, frozen=True):
    """A command was received."""

    command: Command
    retained: bool = False


class ControlReceived(Struct, frozen=True):
    """A control of this site was received."""

    control: Control


class ControlLost(Struct, frozen=True):
    """The control topic was cleared, or its message is not a valid control of this site."""


class MotorStopped(Struct, frozen=True):
    """The motor stopped; `cm` is what came out."""

    cm: Centimetres
    fault: Fault | None = None


class Measured(Struct, frozen=True):
    """A sensor reading is to be reported; the state machine assigns the number."""

    report: Report


class Connecting(Struct, frozen=True):
    """A connection attempt starts; the states of the connection get their sequence numbers."""


class Connected(Struct, frozen=True):
    """The connection to the broker is open and subscribed."""


class Disconnected(Struct, frozen=True):
    """The connection to the broker is closed."""


class TimePassed(Struct, frozen=True):
    """A timer expired: a deadline or a repetition may be due."""


Event = (
    RequestMade
    | CommandReceived
    | ControlReceived
    | ControlLost
    | MotorStopped
    | Measured
    | Connecting
    | Connected
    | Disconnected
    | TimePassed
)


# -- actions ------------------------------------------------------------------------------------------


class SendRequest(Struct, frozen=True):
    """Publish a request; `expiry_s` is the rest of the patience in whole seconds, None for no expiry."""

    request: Request
    expiry_s: int | None


class SendReport(Struct, frozen=True):
    """Publish a report."""

    report: Report


class RunMotor(Struct, frozen=True):
    """Dispense paper; the result is the event MotorStopped."""

    cm: int


class StepKey(Struct, frozen=True):
    """Step the site key to this epoch; later templates are protected under it."""

    epoch: int


class RequestClosed(Struct, frozen=True):
    """Show the visitor the result of a request. At most once per request."""

    request: str
    answer: Answer | None
    """None: no answer came in time"""
    waited_ms: int
    """from the request to the answer, or to the end of the patience"""
    cm: int = 0
    """what came out"""


Action = SendRequest | SendReport | RunMotor | StepKey | RequestClosed
