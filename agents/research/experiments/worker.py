"""Who works on a trial: a process, and whether it still lives."""

import os
import platform
from functools import cache
from pathlib import Path


def this_worker() -> str:
    """This process, in a form that no other process has, a later one with its number neither."""
    pid = os.getpid()
    return " ".join((*_place(), str(pid), _start_of(pid)))


def is_gone(worker: str) -> bool:
    """Whether the process has surely ended; not where it ran in another place."""
    host, boot, namespace, pid, start = [*worker.split(" "), "", "", "", "", ""][:5]
    here = _place()
    if not pid or host != here[0]:
        return False
    if boot != here[1]:
        return True
    return namespace == here[2] and _start_of(int(pid)) != start


@cache
def _place() -> tuple[str, str, str]:
    """The machine, its start, and which processes are seen there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = namespace = "-"
    return platform.node().replace(" ", "-") or "-", boot, namespace


def _start_of(pid: int) -> str:
    """When the process began, in ticks since the machine did; "-" when there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return "-"
    fields = status.rpartition(")")[2].split()  # the name before it may hold anything
    return "-" if fields[0] in "ZX" else fields[19]
