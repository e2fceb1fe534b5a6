"""The vision process: `python -m devices.vision.worker CONFIG`, started by `devices.vision.process`.

It isolates a crash, a hang or a huge picture from the dispenser. It keeps pictures and embeddings in memory, for the
duration of one capture, and has no key. It downloads and writes nothing.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog

from devices.vision.protocol import NUMBER, Answer, Captured, Ready, Unusable, VisionConfig, frame
from models.errors import ConfigError
from models.face.capture_result import Embedding, NotSeen
from models.operator_models import add_operator_models

__all__ = ["main"]

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_Capture = Callable[[], Embedding | NotSeen]
_CAPTURE_BYTES: Final = 1_000_000_000
"""Limit of the address space of captures, on top of the loaded networks; the largest decoded picture takes half."""


def main() -> None:
    """Load camera and networks, then answer each number with a capture, until the end of standard input."""
    _isolate()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    answers = _private_output()
    try:
        add_operator_models(os.environ)
        capture = _open(msgspec.json.decode(sys.argv[1], type=VisionConfig))
    except ConfigError as error:
        _send(answers, Unusable(str(error)))
        sys.exit(error.exit_code)
    _limit_memory()
    _send(answers, Ready())
    _serve(capture, sys.stdin.buffer, answers)


def _isolate() -> None:
    """Exit with the dispenser, write no core file (it could hold a picture), be the first target of the OOM killer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager signals both; the dispenser ends this process
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a container may forbid it
        Path("/proc/self/oom_score_adj").write_text("1000")


def _private_output() -> BinaryIO:
    """Return the pipe to the dispenser; output of libraries is redirected to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _open(config: VisionConfig) -> _Capture:
    """Open camera and networks; raises ConfigError. A blank picture makes the networks allocate their memory."""
    try:
        from PIL import Image  # noqa: PLC0415 - a missing library is reported to the dispenser

        from devices.hardware.camera import PhotoFolder  # noqa: PLC0415 - see above

        camera = PhotoFolder(Path(config.photos))
        from devices.vision.capture import capture_embedding  # noqa: PLC0415 - torch, which takes seconds
        from models.face.vision import open_vision  # noqa: PLC0415 - see above
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: a camera needs the extra fairroll[vision]") from None
    vision = open_vision(config.model, Path(config.weights))
    vision.see(Image.new("RGB", (640, 480)))
    return partial(capture_embedding, camera, vision)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _CAPTURE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve(capture: _Capture, numbers: BinaryIO, answers: BinaryIO) -> None:
    while len(asked := numbers.read(NUMBER.size)) == NUMBER.size:
        (number,) = NUMBER.unpack(asked)
        seen = capture()
        if isinstance(seen, NotSeen):
            _send(answers, Captured(number=number, reason=seen.reason))
        else:
            _send(answers, Captured(number=number, embedding=seen.tobytes()))


def _send(answers: BinaryIO, answer: Answer) -> None:
    answers.write(frame(answer))


if __name__ == "__main__":
    main()
