"""The warm process jobs are forked from: imports are paid once, a job starts in milliseconds.

`python -m agents.sandbox.zygote FD CONFINEMENT MODULE...` takes requests on the socket FD, each
one JSON object: to fork a job, with three descriptors (control, channel, output), or to kill one.
A job gets a warden, which behind a fence is process 1 of the job's room. The zygote was started
with a clean environment and a search path that does not hold the workspace, loads nothing a job
brought, and has a single thread whenever it forks. When the host's end of FD closes, it ends every
job and then itself.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from agents.sandbox import processes
from agents.sandbox.confinement import Confinement
from agents.sandbox.kernel import namespaces
from agents.sandbox.limits import Limits
from agents.sandbox.settling import settle
from agents.sandbox.sight import Place
from agents.sandbox.warden import guard

REQUEST_BYTES = 64 * 1024


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    try:
        confinement = settle(Confinement.from_json(sys.argv[2]))
    except OSError as error:
        raise SystemExit(str(error)) from None
    processes.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in sys.argv[3:]:
        importlib.import_module(name)
    _require_single_thread()
    gc.freeze()
    _Zygote(requests, confinement).serve()


def _require_single_thread() -> None:
    """Refuse to fork beside threads: a lock one of them holds would stay locked in every job."""
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208  only how many
    if threads > 1:
        raise SystemExit(f"{threads} threads run after preloading {sys.argv[3:]}; preload less")


class _Zygote:
    def __init__(self, requests: socket.socket, confinement: Confinement) -> None:
        self._requests = requests
        self._confinement = confinement
        self._wardens: dict[int, int] = {}
        self._own_processes_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        wakeup_fd, write_fd = os.pipe()
        os.set_blocking(wakeup_fd, False)
        os.set_blocking(write_fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        self._private_fds = (wakeup_fd, write_fd, self._own_processes_fd)
        while True:
            ready, _, _ = select.select([self._requests.fileno(), wakeup_fd], [], [])
            if wakeup_fd in ready:
                os.read(wakeup_fd, 4096)
                self._reap()
            if self._requests.fileno() in ready and not self._take():
                break
        self._end_everything()

    def _take(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._requests, REQUEST_BYTES, 3)
        if not data:
            return False
        request = json.loads(data)
        if "kill" in request:
            self._kill(request["kill"])
        else:
            self._fork_warden(request, fds)
        return True

    def _fork_warden(self, request: dict[str, Any], fds: list[int]) -> None:
        control_fd, channel_fd, output_fd = fds
        zygote = os.getpid()
        pid = self._fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            self._requests.close()
            for fd in self._private_fds:
                os.close(fd)
            guard(
                socket.socket(fileno=control_fd),
                socket.socket(fileno=channel_fd),
                output_fd,
                confinement=self._confinement,
                limits=Limits(**request["limits"]),
                hidden=request["hidden"],
                kept=request["kept"],
                shown=[Place(*place) for place in request["shown"]],
                zygote=zygote if self._confinement.scene is None else 0,
            )
        self._wardens[pid] = request["number"]
        for fd in fds:
            os.close(fd)

    def _fork(self) -> int:
        if self._confinement.scene is None:
            return os.fork()
        return namespaces.fork_into_new_processes(self._own_processes_fd)

    def _kill(self, number: int) -> None:
        """End a job whose warden does not; a warden already reaped has no pid here any more."""
        for pid, job in self._wardens.items():
            if job == number:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Bury the dead; whoever lives below us and is no warden lost its warden, so it goes."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            self._wardens.pop(pid, None)
        for orphan in processes.children(os.getpid()) - set(self._wardens):
            os.kill(orphan, signal.SIGKILL)

    def _end_everything(self) -> None:
        """Let wardens, which have seen the host go too, sweep their trees; then sweep the rest."""
        signal.set_wakeup_fd(-1)
        for warden in self._wardens:
            try:
                os.waitpid(warden, 0)
            except ChildProcessError:
                continue
        processes.kill_descendants()


if __name__ == "__main__":
    main()
