"""Apps that other distributions mount beside a guild: the entry points of `guildbus.http`.

Each names a function of a plan that gives an async context manager: of apps by their path, served
as long as its block lasts.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points

from starlette.types import ASGIApp

from guild.checking.plan import Plan
from guild.gateway.mounted import Mounted, Mounts
from messaging.process.logs import get_logger

log = get_logger()

GROUP = "guildbus.http"

Extra = Callable[[Plan], AbstractAsyncContextManager[Mounts]]


@asynccontextmanager
async def extra_apps(plan: Plan) -> AsyncIterator[Mounts]:
    """The apps of all that are installed. What cannot be loaded is left out, and logged."""
    apps: dict[str, ASGIApp | Mounted] = {}
    async with AsyncExitStack() as stack:
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            try:
                extra: Extra = entry.load()
                apps |= await stack.enter_async_context(extra(plan))
            except Exception as error:  # noqa: BLE001  importing runs code of anybody's
                problem = f"{type(error).__name__}: {error}"
                log.warning("gateway.extra_left_out", name=entry.name, problem=problem)
        yield apps
