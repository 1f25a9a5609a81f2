"""Process trees on Linux: who belongs to a job, what it holds, how to end all of it."""

import contextlib
import os
import re
import signal
from collections import defaultdict
from pathlib import Path

from agents.sandbox.kernel import calls

_HELD = re.compile(r"^Rss(?:Anon|Shmem):\s*(\d+) kB", re.MULTILINE)
_HAS_CHILDREN_FILES = Path("/proc/self/task", str(os.getpid()), "children").exists()


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Ask the kernel for `signal_number` when the parent dies; exit if it already has.

    A parent outside this namespace of processes has the number 0.
    """
    calls.prctl(calls.PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the new parent of every descendant whose own parent dies, `setsid` or not."""
    calls.prctl(calls.PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """Make set-uid programs powerless from here on."""
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)


def children(pid: int) -> set[int]:
    """Direct children of `pid`; empty when it is gone."""
    if not _HAS_CHILDREN_FILES:
        return _tree()[pid]
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.update(int(child) for child in (task / "children").read_text().split())
    return found


def descendants(pid: int) -> set[int]:
    """Everything below `pid`."""
    tree = None if _HAS_CHILDREN_FILES else _tree()
    found: set[int] = set()
    frontier = [pid]
    while frontier:
        parent = frontier.pop()
        new = (children(parent) if tree is None else tree[parent]) - found
        found |= new
        frontier.extend(new)
    return found


def held_bytes(pid: int) -> int:
    """Memory of a process that is in RAM and not a file's; 0 when it is gone.

    What several processes share counts in each of them.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(1024 * int(kib) for kib in _HELD.findall(status))


def kill_descendants() -> dict[int, int]:
    """Kill and reap everything below this process, which must have adopted orphans.

    Process 1 of a namespace is above everything in it, and one call ends all of that.

    Returns:
        Wait status by pid of those reaped.
    """
    kill = _kill_namespace if os.getpid() == 1 else _kill_tree
    reaped: dict[int, int] = {}
    while True:
        kill()
        try:
            pid, status = os.waitpid(-1, 0)
            while pid != 0:
                reaped[pid] = status
                pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return reaped


def _kill_namespace() -> None:
    with contextlib.suppress(ProcessLookupError):  # nobody is left
        os.kill(-1, signal.SIGKILL)


def _kill_tree() -> None:
    """Freeze first and kill after, so that nothing can fork faster than it is found."""
    frozen: set[int] = set()
    while new := descendants(os.getpid()) - frozen:
        _signal_all(new, signal.SIGSTOP)
        frozen |= new
    _signal_all(frozen, signal.SIGKILL)


def _signal_all(pids: set[int], signal_number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal_number)


def _tree() -> defaultdict[int, set[int]]:
    """Children by parent from a walk over /proc, for kernels without `children` files."""
    tree: defaultdict[int, set[int]] = defaultdict(set)
    for entry in os.listdir("/proc"):  # noqa: PTH208  names alone, and often
        if entry.isdigit():
            with contextlib.suppress(OSError):
                # The command name may hold anything; state and parent follow its last ")".
                stat = Path("/proc", entry, "stat").read_bytes()
                tree[int(stat.rpartition(b")")[2].split()[1])].add(int(entry))
    return tree
