"""A shop and its gateway in a thread of their own, while the browser is driven from the test's."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from guild.deciding import list_approvals
from guild.gateway import gateway_app
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging.wire.envelope import new_id
from tests.console.shop import shop

T = TypeVar("T")


class Served:
    """A running guild, and where its console is.

    Attributes:
        app: the gateway.
        url: of the console, with a slash at its end.
    """

    def __init__(self, guild: Guild, app: Any, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.guild = guild
        self.app = app
        self.url = url
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, in the loop of the guild."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def approvals(self, count: int) -> list[str]:
        """Ids of what lies to be decided, once it is so much."""

        async def found() -> list[str]:
            while len(lying := await list_approvals(self.guild.client)) != count:  # noqa: ASYNC110
                await asyncio.sleep(0)
            return [approval.id for approval in lying]

        return self.do(found())

    def letters(self, count: int, agent: str = "till") -> list[str]:
        """Ids of the dead letters of an agent, once there are so many."""

        async def found() -> list[str]:
            letters = self.guild.client.bus.dead_letters
            while len(kept := await letters.list(group=agent)) != count:  # noqa: ASYNC110
                await asyncio.sleep(0)  # each turn asks the server
            return [letter.id for letter in kept]

        return self.do(found())


@contextmanager
def serving_shop(
    bus: str, *, prefix: str = "", port: int = 0, spec: GuildSpec | None = None, **options: Any
) -> Iterator[Served]:
    """A shop on this bus, or what `spec` says, and its console; `options` are the gateway's."""
    ready: Future[Served] = Future()
    end = threading.Event()

    async def serve() -> None:
        async with Guild.launch(spec or shop(f"shop-{new_id()[-6:]}"), bus=bus) as guild:
            app = gateway_app(guild.client, **options)
            host = Starlette(routes=[Mount(prefix, app)]) if prefix else app
            async with listening(host, port) as url:
                served = Served(guild, app, f"{url}{prefix}/", asyncio.get_running_loop())
                ready.set_result(served)
                await asyncio.to_thread(end.wait)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.result(60)
    finally:
        end.set()
        thread.join()


@asynccontextmanager
async def listening(app: Any, port: int = 0) -> AsyncIterator[str]:
    """The URL at which `app` is served, without a slash at its end."""
    taken = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, access_log=False
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve(sockets=[taken]))
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
