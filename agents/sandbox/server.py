"""The host's handle on the zygote: start it clean, hand it jobs, end it."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.sandbox.confinement import Confinement
from agents.sandbox.environment import clean_environment
from agents.sandbox.errors import SandboxError
from agents.sandbox.fence import Fence
from agents.sandbox.fence.layout import scene_of
from agents.sandbox.limits import Limits
from agents.sandbox.output import CappedOutput
from agents.sandbox.sight import Sight
from agents.sandbox.view import View

_LOG_BYTES = 16 * 1024
_LOG_WAIT_S = 5.0
_END_S = 30.0


class JobServer:
    """One running zygote."""

    def __init__(self, process: asyncio.subprocess.Process, requests: socket.socket) -> None:
        self._process = process
        self._requests = requests
        self._log = CappedOutput(_LOG_BYTES)
        self._log_reader = asyncio.create_task(self._keep_log(), name="sandbox-log")

    @classmethod
    async def start(
        cls,
        fence: Fence,
        view: View,
        workspace: Path,
        preload: Sequence[str],
        environment: Mapping[str, str],
    ) -> "JobServer":
        """Start a zygote; it is usable at once and forks when its imports are done."""
        if sys.platform != "linux":
            raise SandboxError("jobs in child processes need Linux (prctl and /proc)")
        scene = scene_of(workspace, view)
        confinement = Confinement(
            workspace=str(workspace),
            read_only=view.read_only,
            scene=None if fence.is_none else scene,
            is_built=fence.is_built,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            program = (sys.executable, "-P", "-m", "agents.sandbox.zygote")
            arguments = (str(theirs.fileno()), confinement.to_json(), *preload)
            process = await asyncio.create_subprocess_exec(
                *fence.wrap([*program, *arguments], scene),
                pass_fds=[theirs.fileno()],
                env=clean_environment(workspace) | dict(environment),
                cwd="/",
                start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            on_failure.pop_all()
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def fork(self, number: int, fds: Sequence[int], limits: Limits, sight: Sight) -> None:
        """Ask for job `number`, which talks over `fds` (control, channel, output).

        Raises:
            OSError: the zygote is gone.
        """
        request = {
            "number": number,
            "limits": limits.to_json(),
            "hidden": sight.view.hidden,
            "kept": list(sight.view.kept()),
            "shown": sight.shown,
        }
        socket.send_fds(self._requests, [json.dumps(request).encode()], fds)

    def kill(self, number: int) -> None:
        """End job `number` at once; nothing happens when it or the zygote is gone."""
        with contextlib.suppress(OSError):
            self._requests.send(json.dumps({"kill": number}).encode())

    async def obituary(self) -> str:
        """Say how the zygote ended, once it has."""
        await self.close()
        how = f"the job server ended with exit code {self._process.returncode}"
        printed = self._log.text().strip()
        return f"{how}; it printed:\n{printed}" if printed else how

    async def close(self) -> None:
        """End the zygote and every job; returns when all are gone."""
        self._requests.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_S)
        except TimeoutError:
            self._process.kill()  # behind a fence everything goes with it
            await self._process.wait()
        # A job that took its output for a way out may still hold the pipe; its text can wait.
        await asyncio.wait({self._log_reader}, timeout=_LOG_WAIT_S)
        self._log_reader.cancel()

    async def _keep_log(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_LOG_BYTES):
            self._log.write(chunk)
