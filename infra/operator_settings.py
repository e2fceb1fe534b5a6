"""The settings of the commands that operators type."""

import logging
import os
import sys

import structlog
from msgspec import structs

from infra.environment_file import whole_environment
from models.settings import Settings

__all__ = ["operator_settings", "replay_settings"]


def operator_settings() -> Settings:
    """Read the environment, and the file that `fairroll up` wrote in this folder, once.

    aiokafka's log is silenced, since commands report an unreachable broker themselves.
    """
    aiokafka = logging.getLogger("aiokafka")
    aiokafka.propagate = False
    aiokafka.addHandler(logging.NullHandler())
    return Settings.from_environ(whole_environment(os.environ))


def replay_settings() -> Settings:
    """Return the same without the MQTT broker of the environment; libraries log to standard error."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return structs.replace(operator_settings(), mqtt="")
