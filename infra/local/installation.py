"""The installation of a local stack: its folder, ports and addresses, and the programs of this machine."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

from infra.local.ports import Ports
from models.errors import ConfigError
from models.settings import Settings

__all__ = ["KAFKA_CLASSES", "KAFKA_LIB", "Place", "kafka_classpath", "memory_folder", "program"]

KAFKA_LIB = Path(__file__).parents[2] / ".local" / "kafka" / "lib"
"""Kafka's jars, installed by `make setup`."""
KAFKA_CLASSES = KAFKA_LIB.with_name("classes.jsa")
"""The JVM's archive of Kafka's classes, which halves its start time; optional."""
_TEMPLATES = Path(__file__).parent
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Folders of server programs that a user's PATH may lack."""


class _Config(Template):
    """A configuration file with placeholders `@word`: nginx uses `$` itself."""

    delimiter = "@"


@dataclass(frozen=True)
class Place:
    """The paths of one local stack, below its folder; each method creates the folder that it returns or writes to."""

    folder: Path
    ports: Ports
    settings: Settings

    def data(self, program: str) -> Path:
        """Return the program's data folder."""
        folder = self.folder / "data" / program
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, program: str) -> Path:
        """Return the log file of the program."""
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{program}.log"

    def config(self, template: str, **values: object) -> Path:
        """Fill in the template and return the path of the written file. The ports are available as placeholders."""
        folder = self.folder / "config"
        folder.mkdir(parents=True, exist_ok=True)
        text = _Config((_TEMPLATES / template).read_text()).substitute(vars(self.ports) | values)
        filled = folder / template
        filled.write_text(text)
        return filled


def memory_folder(folder: Path) -> Path:
    """Return the folder, in memory, for the sockets and the key file of the key holder of the stack in `folder`."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path("/dev/shm") / f"fairroll-{os.getuid()}-{digest}"  # noqa: S108 - the key holder refuses another user's folder


def program(name: str) -> str:
    """Return the path of a program; raises ConfigError if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)
    if found is None:
        raise ConfigError(f"{name} is not installed: run make setup")
    return found


def kafka_classpath() -> str:
    """Return Kafka's class path; raises ConfigError if the jars are missing."""
    if not any(KAFKA_LIB.glob("kafka_*.jar")):
        raise ConfigError(f"Kafka's jars are missing from {KAFKA_LIB}: run make setup")
    return f"{KAFKA_LIB}/*"
