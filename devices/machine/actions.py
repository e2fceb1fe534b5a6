"""What can happen to a dispenser, and what it can do: the words of its state machine."""

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
    """Somebody asked; `patience_ms` is how long they will stand here."""

    request: Request
    patience_ms: int


class CommandReceived(Struct, frozen=True):
    """The pipeline said something."""

    command: Command
    retained: bool = False


class ControlReceived(Struct, frozen=True):
    """A control of this site was received."""

    control: Control


class ControlLost(Struct, frozen=True):
    """The control topic was cleared, or holds what is no control of this site."""


class MotorStopped(Struct, frozen=True):
    """The motor stopped; `cm` is what came out."""

    cm: Centimetres
    fault: Fault | None = None


class Measured(Struct, frozen=True):
    """A reading to report; its number is given here."""

    report: Report


class Connecting(Struct, frozen=True):
    """A connection to the broker is about to be opened; its states are numbered from here on."""


class Connected(Struct, frozen=True):
    """The broker can be reached from now on."""


class Disconnected(Struct, frozen=True):
    """The connection to the broker is closed."""


class TimePassed(Struct, frozen=True):
    """Nothing happened but time."""


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
    """Publish; `expiry_s` is what is left of the patience in MQTT's whole seconds, None where there is no hurry."""

    request: Request
    expiry_s: int | None


class SendReport(Struct, frozen=True):
    """Publish."""

    report: Report


class RunMotor(Struct, frozen=True):
    """Give paper; answer with MotorStopped."""

    cm: int


class StepKey(Struct, frozen=True):
    """Make templates under the site's key of this epoch from now on."""

    epoch: int


class RequestClosed(Struct, frozen=True):
    """Tell the person: what they get, or when they can ask again. Never more than once a request."""

    request: str
    answer: Answer | None
    """None: no answer came in time"""
    waited_ms: int
    """from asking to the answer, or to the end of the patience"""
    cm: int = 0
    """what came out"""


Action = SendRequest | SendReport | RunMotor | StepKey | RequestClosed
