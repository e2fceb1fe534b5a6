"""The environment file of a local stack: `fairroll up` writes it, and commands read it.

`.local/fairroll.env` has the stack's variables, one per line, so that a shell can read it too. The stack keeps the
file locked while it runs: an unlocked file was left by a stack that was killed, and is ignored.

A command uses the first of these:

1. a variable of the environment;
2. `.local/fairroll.env` in the present folder, while its stack runs;
3. the default.

If the environment has another address than the file, it means another pipeline: the whole file is ignored.
"""

import fcntl
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from models.errors import ConfigError
from models.settings import Settings

__all__ = ["FILE_NAME", "LOCAL_FOLDER", "how_to_find", "published", "whole_environment"]

LOCAL_FOLDER = Path(".local")
"""Default folder of the stack of `fairroll up`."""
FILE_NAME = "fairroll.env"
_HEAD = "# Written by `fairroll up`, and true while it runs. For a shell: set -a; . {file}; set +a\n"
_ADDRESSES = ("MQTT", "KAFKA", "INFLUX_URL", "KEYS", "SERVICES", "NAMESPACE")
"""The variables that identify a pipeline."""
_OF_ONE_SERVICE = ("FAIRROLL_HEALTH", "FAIRROLL_INSTANCE")
_TRIES, _APART_S = 10, 0.05
"""Attempts to lock the file: a command that checks the lock holds it for a moment."""


@contextmanager
def published(folder: Path) -> Iterator[Callable[[Settings], None]]:
    """Lock the folder's file for one stack; yield a function that writes the settings to it.

    The file is emptied at the end. Raises ConfigError if another stack runs in this folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / FILE_NAME).absolute()
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
        _lock(file, path)
        file.truncate(0)
        try:
            yield lambda settings: _write(file, path, settings)
        finally:
            file.truncate(0)


def whole_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with the variables of a local stack that runs in the present folder.

    A file that was left behind, or that another user could have written, is named on standard error.
    """
    path = LOCAL_FOLDER / FILE_NAME
    try:
        with path.open("rb") as file:
            text = file.read().decode()
            is_ours, is_live = _is_ours(file), _is_locked(file)
    except (OSError, UnicodeDecodeError):
        return environ
    if not text:
        return environ
    if not is_ours or not is_live:
        why = "is left from a stack that was killed" if is_ours else "may be another user's"
        click.echo(f"fairroll: {path} {why}, and is not used", err=True)
        return environ
    of_stack = dict(line.split("=", 1) for line in shlex.split(text, comments=True))
    return environ if _is_another(environ, of_stack) else of_stack | dict(environ)


def how_to_find(settings: Settings, field: str) -> str:
    """Return the hint for an address that does not answer."""
    name, value = f"FAIRROLL_{field.upper()}", getattr(settings, field)
    if value != getattr(Settings(), field):
        return f"{name} names it"
    return f"{name} is not set: export it, or type this in the folder in which `fairroll up` runs"


def _lock(file: BinaryIO, path: Path) -> None:
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_APART_S)
        else:
            return
    raise ConfigError(f"a stack runs in {path.parent} already: stop it, or choose another folder with --folder")


def _write(file: BinaryIO, path: Path, settings: Settings) -> None:
    paths = {name: str(value.absolute()) for name, value in _paths(settings)}
    lines = [
        f"{name}={shlex.quote(paths.get(name, value))}\n"
        for name, value in settings.to_environ().items()
        if value and name not in _OF_ONE_SERVICE
    ]
    file.write("".join([_HEAD.format(file=path), *lines]).encode())


def _paths(settings: Settings) -> Iterator[tuple[str, Path]]:
    for name in settings.__struct_fields__:
        if isinstance(value := getattr(settings, name), Path):
            yield f"FAIRROLL_{name.upper()}", value


def _is_ours(file: BinaryIO) -> bool:
    status = os.fstat(file.fileno())
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _is_another(environ: Mapping[str, str], of_stack: Mapping[str, str]) -> bool:
    usual = Settings().to_environ()
    names = (f"FAIRROLL_{name}" for name in _ADDRESSES)
    return any(environ[name] != of_stack.get(name, usual[name]) for name in names if name in environ)
