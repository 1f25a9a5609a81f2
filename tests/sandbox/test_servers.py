"""Which warm processes are kept, by a runner's own count of what is busy."""

import asyncio
import socket
from typing import Any

import pytest

from agents.sandbox.fence.fence import NoFence
from agents.sandbox.server import JobServer
from agents.sandbox.servers import Servers
from agents.sandbox.sight import Place, Sight
from agents.sandbox.view import View


class _Server:
    is_running = True

    def __init__(self, never_ends: bool) -> None:
        self._never_ends = never_ends
        self.closing = asyncio.Event()

    async def close(self) -> None:
        self.closing.set()
        if self._never_ends:
            await asyncio.Event().wait()


def _sight(number: int) -> Sight:
    return Sight(View(), Place("/ws", 0, number), ())


async def test_a_job_that_is_cancelled_while_another_server_ends_leaves_none_busy() -> None:
    made: list[Any] = []

    async def start(_: View) -> Any:
        made.append(_Server(never_ends=not made))
        return made[-1]

    servers = Servers(start)
    for number in range(3):
        async with servers.that_shows(_sight(number)):
            pass

    async def fourth() -> None:
        async with servers.that_shows(_sight(3)):
            pass

    job = asyncio.create_task(fourth())
    async with asyncio.timeout(10):
        await made[0].closing.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    for number in range(4, 8):
        async with servers.that_shows(_sight(number)):
            pass

    assert [server.closing.is_set() for server in made] == [True] * 5 + [False] * 3


async def test_a_server_that_cannot_be_started_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(socket, "socketpair", lambda *_: pair)

    async def fail(*_: Any, **__: Any) -> Any:
        raise OSError("no more processes")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fail)
    with pytest.raises(OSError, match="no more processes"):
        await JobServer.start(NoFence(), View(), tmp_path, (), {})

    assert [each.fileno() for each in pair] == [-1, -1]
