"""Attacks without any sandbox, as forks of this process; their results are believed anyhow."""

import asyncio
import json
import os
import signal
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

from agents.sandbox.kernel import mounts, namespaces
from tests.sandbox.attacks import stage
from tests.sandbox.attacks.attack import Attack, Target
from tests.sandbox.attacks.job import CHANNEL_FD, run

_LONGEST_S = 120.0


class Control:
    """Runs them on the stage alone, each with mounts of its own."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace

    async def __aenter__(self) -> None:
        stage.require()

    async def __aexit__(self, *error: object) -> None:
        pass

    def __str__(self) -> str:
        return "no sandbox"

    async def attack(self, attack: Attack, target: Target) -> tuple[dict[str, Any], str]:
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as answered:
            pid = os.fork()
            if pid == 0:
                self._attack(target, printed.fileno(), answered.fileno())
            await _end_of(pid)
            texts = []
            for file in (printed, answered):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        for line in "\n".join(texts).splitlines():
            if line.startswith('{"result"'):
                return json.loads(line)["result"], texts[0]
        return {"said": texts[0][-300:]}, texts[0]

    def _attack(self, target: Target, printed_fd: int, answered_fd: int) -> NoReturn:
        try:
            os.dup2(printed_fd, 1)
            os.dup2(printed_fd, 2)
            os.dup2(answered_fd, CHANNEL_FD)
            os.set_inheritable(CHANNEL_FD, True)
            namespaces.unshare(namespaces.MOUNTS)
            mounts.make_private()
            os.chdir(self._workspace)
            result = run(vars(target), lambda _: None)
            os.write(CHANNEL_FD, json.dumps({"result": result}).encode() + b"\n")
        except BaseException:  # noqa: BLE001  a fork must not run on
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(0)


async def _end_of(pid: int) -> None:
    ended = asyncio.Event()
    fd = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), _LONGEST_S)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
    finally:
        loop.remove_reader(fd)
        os.close(fd)
        os.waitpid(pid, 0)  # noqa: ASYNC222  it has ended
