"""One small process above each job, which outlives it and leaves nothing of it behind.

It adopts whatever the job's processes orphan, watches what the tree takes, passes on the wish to
stop, and says how the job ended only when the last process of the tree is gone. It ends the tree
at once when the host closes its end of the control socket, by intent or by dying.

Behind a fence the warden is process 1 of the job's room: nothing in it can stop or kill the
warden, and when the warden ends, however it does, the kernel ends all the rest. Without a fence a
job can kill its warden; the tree then falls to the zygote, which sweeps it.
"""

import json
import os
import resource
import select
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from agents.sandbox import processes, room
from agents.sandbox.child import run_job
from agents.sandbox.confinement import Confinement
from agents.sandbox.fence.scene import TEMPORARY
from agents.sandbox.limits import Limits
from agents.sandbox.sight import Place

_WATCH_S = 0.05
_WATCH_SHARE = 0.05  # of a core, at most


def guard(
    control: socket.socket,
    channel: socket.socket,
    output_fd: int,
    *,
    confinement: Confinement,
    limits: Limits,
    hidden: Sequence[str],
    kept: Sequence[str],
    shown: Sequence[Place],
    zygote: int,
) -> NoReturn:
    """Fork the job, watch over it, report its end; called in a fresh fork, never returns."""
    try:
        processes.adopt_orphans()
        wakeup_fd = _wake_on_signals()
        processes.die_with_parent(zygote, signal.SIGTERM)
        _be_killed_first()
        if confinement.scene is not None:
            room.build(confinement, limits, hidden, kept)
            room.require(shown)
        with _home(confinement) as home:
            job = _fork()
            if job == 0:
                control.close()
                os.close(wakeup_fd)
                run_job(
                    *(channel, output_fd),
                    confinement=confinement,
                    limits=limits,
                    home=home,
                    writable=tuple(kept),
                )
            channel.close()
            os.close(output_fd)
            _say(control, {"has_started": True})
            end = _Watch(job, control, wakeup_fd, limits).until_the_end()
        _say(control, end)
    except BrokenPipeError:
        pass  # the host is gone, and the tree with it
    except Exception as error:  # noqa: BLE001  whatever it is, the host must hear of it
        _say(control, {"problem": f"{type(error).__name__}: {error}"})
    finally:
        processes.kill_descendants()
        os._exit(0)


def _be_killed_first() -> None:
    """Let the kernel, short of memory, end a job rather than the guild."""
    Path("/proc/self/oom_score_adj").write_text("1000")


@contextmanager
def _home(confinement: Confinement) -> Iterator[str]:
    """A folder for the job alone: one to make in its room's /tmp, or one made in ours."""
    if confinement.scene is not None:
        yield f"{TEMPORARY}/guildbus-job-home"
        return
    with tempfile.TemporaryDirectory(prefix="guildbus-job-", ignore_cleanup_errors=True) as home:
        yield home


def _say(control: socket.socket, what: dict[str, Any]) -> None:
    control.sendall(json.dumps(what).encode() + b"\n")


def _wake_on_signals() -> int:
    """Make SIGCHLD and SIGTERM (the zygote died) readable on a descriptor."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _only_wake)
    signal.signal(signal.SIGTERM, _only_wake)
    return read_fd


def _only_wake(number: int, frame: object) -> None:
    """Give the wakeup descriptor its byte; a handler must exist for that."""


def _fork() -> int:
    """Fork; the child has its signals and knows that it must not outlive this process."""
    warden = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        processes.die_with_parent(warden, signal.SIGKILL)
    return pid


class _Watch:
    """Waits for the job's end, or brings it about."""

    def __init__(self, job: int, control: socket.socket, wakeup_fd: int, limits: Limits) -> None:
        self._job = job
        self._control = control
        self._wakeup_fd = wakeup_fd
        self._limits = limits
        self._own_bytes = processes.held_bytes(os.getpid())
        self._status: int | None = None
        self._limit = ""
        self._kill_at = float("inf")

    def until_the_end(self) -> dict[str, Any]:
        """Return `{"status", "limit", "cpu_s", "peak_bytes"}` once the whole tree is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup_fd, select.POLLIN)
        pause_s = _WATCH_S
        while self._status is None and not self._is_condemned():
            poll.poll(pause_s * 1000)
            self._reap()
            started_s = time.monotonic()
            self._limit = self._limit or self._limit_passed()
            pause_s = max(_WATCH_S, (time.monotonic() - started_s) / _WATCH_SHARE)
        reaped = processes.kill_descendants()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "status": self._status if self._status is not None else reaped.get(self._job, 0),
            "limit": self._limit,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
        }

    def _is_condemned(self) -> bool:
        return (
            bool(self._limit)
            or not self._hear_the_host()
            or self._was_told_to_end()
            or time.monotonic() >= self._kill_at
        )

    def _hear_the_host(self) -> bool:
        """Take a wish to stop from the control socket; False once the host is gone."""
        try:
            data = self._control.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if data:
            grace_s = float(json.loads(data)["grace_s"])
            self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
            if self._status is None:
                os.kill(self._job, signal.SIGTERM)
        return bool(data)

    def _was_told_to_end(self) -> bool:
        try:
            return signal.SIGTERM in os.read(self._wakeup_fd, 4096)
        except BlockingIOError:
            return False

    def _reap(self) -> None:
        while self._status is None:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._job:
                self._status = status

    def _limit_passed(self) -> str:
        tree = processes.descendants(os.getpid())
        if len(tree) > self._limits.processes:
            return "processes"
        # Pages shared with the zygote by copy-on-write belong to no job.
        taken = sum(max(0, processes.held_bytes(pid) - self._own_bytes) for pid in tree)
        return "memory" if taken > self._limits.memory_bytes else ""
