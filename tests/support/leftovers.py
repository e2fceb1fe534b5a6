"""Processes that a test started and left running. Linux only: elsewhere nothing is found."""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

__all__ = ["adopt_orphans", "children", "command", "end", "is_running"]

_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): descendants whose parent ends become children of this process, and not of init"""
_SOON_S = 2.0


def adopt_orphans() -> None:
    """Keep every descendant findable: what a child leaves running becomes a child of this process."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """The ids of the child processes that run."""
    found: set[int] = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in listed.read_text().split()}
    return {pid for pid in found if is_running(pid)}


def is_running(pid: int) -> bool:
    """Whether there is such a process and it has not ended; a zombie has."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def end(pids: set[int]) -> list[str]:
    """Kill those that do not end soon by themselves, each with its process group; returns their command lines."""
    deadline = time.monotonic() + _SOON_S
    while (left := {pid for pid in pids if is_running(pid)}) and time.monotonic() < deadline:
        time.sleep(0.02)
    received = [command(pid) for pid in sorted(left)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
    return received


def command(pid: int) -> str:
    """What it was started with."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return f"process {pid}"
