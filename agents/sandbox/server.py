"""The host's handle on the zygote: start it clean, hand it jobs, end it."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.sandbox.errors import SandboxError
from agents.sandbox.limits import Limits
from agents.sandbox.output import CappedOutput

# All a child gets to see of the host's environment; none of it is a credential.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_LOG_BYTES = 16 * 1024
_LOG_WAIT_S = 5.0


class JobServer:
    """One running zygote."""

    def __init__(
        self, process: asyncio.subprocess.Process, requests: socket.socket, workspace: Path
    ) -> None:
        self._process = process
        self._requests = requests
        self._workspace = workspace
        self._log = CappedOutput(_LOG_BYTES)
        self._log_reader = asyncio.create_task(self._keep_log(), name="sandbox-log")

    @classmethod
    async def start(
        cls, workspace: Path, preload: Sequence[str], environment: Mapping[str, str]
    ) -> "JobServer":
        """Start a zygote; it is usable at once and forks when its imports are done."""
        if sys.platform != "linux":
            raise SandboxError("jobs in child processes need Linux (prctl and /proc)")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "agents.sandbox.zygote", str(theirs.fileno())),
                *preload,
                pass_fds=[theirs.fileno()],
                env=_clean_environment(workspace) | dict(environment),
                cwd="/",
                start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        ours.setblocking(False)
        return cls(process, ours, workspace)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def fork(self, fds: Sequence[int], limits: Limits) -> None:
        """Ask for a job that talks over `fds` (control, channel, output), which it inherits.

        Raises:
            OSError: the zygote is gone.
        """
        request = {"workspace": str(self._workspace), "limits": limits.to_json()}
        socket.send_fds(self._requests, [json.dumps(request).encode()], fds)

    async def obituary(self) -> str:
        """Say how the zygote ended, once it has."""
        await self.close()
        how = f"the job server ended with exit code {self._process.returncode}"
        printed = self._log.text().strip()
        return f"{how}; it printed:\n{printed}" if printed else how

    async def close(self) -> None:
        """End the zygote and every job; returns when all are gone."""
        self._requests.close()
        await self._process.wait()
        # A job that took its output for a way out may still hold the pipe; its text can wait.
        await asyncio.wait({self._log_reader}, timeout=_LOG_WAIT_S)
        self._log_reader.cancel()

    async def _keep_log(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_LOG_BYTES):
            self._log.write(chunk)


def _clean_environment(workspace: Path) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **passed_on,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(_search_path(workspace)),
        # With the workspace on sys.path, a file in it could pose as a module of ours or Python's.
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _search_path(workspace: Path) -> list[str]:
    """The host's own search path, so that children import what the host would."""
    root = Path(__file__).resolve().parents[2]
    entries = [str(root)]
    for entry in sys.path:
        path = Path(entry) if entry else None
        if path and path.is_absolute() and path != workspace and str(path) not in entries:
            entries.append(str(path))
    return entries
