"""The warm processes of one runner: one for all jobs that see the same, and few of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import NamedTuple, Self

from agents.sandbox.server import JobServer
from agents.sandbox.sight import Place, Sight
from agents.sandbox.view import View

_MOST_SERVERS = 3  # each holds its imports in memory


class _Shown(NamedTuple):
    """What a fence shows; hidden things are hidden in the room of each job.

    A mount goes on showing a folder that was removed, so one made anew in its place is another.
    """

    places: tuple[Place, ...]
    gpu: bool
    network: bool

    @classmethod
    def by(cls, sight: Sight) -> Self:
        return cls((sight.workspace, *sight.shown), sight.view.gpu, sight.view.network)


class Servers:
    """Starts servers when they are first needed, and ends the idle one that was used least lately.

    Args:
        start: starts the server of a view.
    """

    def __init__(self, start: Callable[[View], Awaitable[JobServer]]) -> None:
        self._start = start
        self._turn = asyncio.Lock()
        self._servers: dict[_Shown, JobServer] = {}  # the latest is last
        self._busy: dict[JobServer, int] = {}

    @property
    def latest_pid(self) -> int | None:
        server = next(reversed(self._servers.values()), None)
        return server.pid if server and server.is_running else None

    @asynccontextmanager
    async def that_shows(self, sight: Sight) -> AsyncIterator[JobServer]:
        """A server for one job that sees `sight`, which is not ended for another meanwhile."""
        with ExitStack() as job:
            async with self._turn:
                server = await self._running(sight)
                self._busy[server] = self._busy.get(server, 0) + 1
                job.callback(self._leave, server)
                await self._end_surplus()
            yield server

    async def close(self) -> None:
        async with self._turn:
            servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.close() for server in servers))

    def _leave(self, server: JobServer) -> None:
        self._busy[server] -= 1
        if self._busy[server] == 0:
            del self._busy[server]

    async def _running(self, sight: Sight) -> JobServer:
        shown = _Shown.by(sight)
        server = self._servers.pop(shown, None)
        if server is not None and not server.is_running:
            await server.close()
            server = None
        self._servers[shown] = server or await self._start(sight.view)
        return self._servers[shown]

    async def _end_surplus(self) -> None:
        idle = [shown for shown, server in self._servers.items() if server not in self._busy]
        surplus = len(self._servers) - _MOST_SERVERS
        for shown in idle[: max(0, surplus)]:
            await self._servers.pop(shown).close()
