"""Names of consumers: never used again, and on one machine they tell which processes have died.

A name says which process made it: the machine since it was booted, the process and when that was
started. So a guild that is started again after a crash need not wait until a lease runs out.
"""

import functools
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from messaging.wire.envelope import new_id

_STATE, _STARTED = 0, 19  # fields of /proc/PID/stat behind the name, see proc_pid_stat(5)
_DEAD = ("Z", "X")


class _Process(NamedTuple):
    state: str
    started: str


def new_incarnation() -> str:
    """A name that no consumer ever had; it names this process where the system tells enough."""
    process = _look_up(os.getpid())
    where = _machine()
    if process is None or not where:
        return new_id()
    return f"{where}.{os.getpid()}.{process.started}.{new_id()}"


def has_surely_died(incarnation: str) -> bool:
    """Whether the process behind `incarnation` ran on this machine and is gone.

    False for living processes, and for all of other machines and containers.
    """
    where, *rest = incarnation.split(".")
    if len(rest) != 3 or not where or where != _machine() or not rest[0].isdigit():  # noqa: PLR2004 - as named above
        return False
    pid = int(rest[0])
    try:
        os.kill(pid, 0)  # tells the dead from those that we cannot look at: it opens nothing
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    process = _look_up(pid)
    return process is not None and (process.state in _DEAD or process.started != rest[1])


@functools.cache
def _machine() -> str:
    """Changes with each boot, and between containers that number their processes anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        numbering = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{numbering}".encode()).hexdigest()[:12]


def _look_up(pid: int) -> _Process | None:
    """None for a process that is gone or hidden, or when there is no descriptor to look with."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may itself hold any character.
    fields = stat.rpartition(")")[2].split()
    return _Process(fields[_STATE], fields[_STARTED])
