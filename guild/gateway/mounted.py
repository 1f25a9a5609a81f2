"""Further apps beside a guild, for callers who are admitted: of a host, and of entry points."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp

from guild.checking.plan import Plan
from guild.gateway.problems import problem_response
from messaging.process.logs import get_logger

log = get_logger()

GROUP = "guildbus.http"


class Mounted(NamedTuple):
    """An app, and how its clients are used to being refused.

    Attributes:
        refused: the answer to a caller without a token, with the wrong one, or with too many
            requests.
    """

    app: ASGIApp
    refused: Callable[[Exception], Response] = problem_response


Mounts = Mapping[str, ASGIApp | Mounted]
"""Apps by their path; "" for all paths that nothing else has."""


Extra = Callable[[Plan], AbstractAsyncContextManager[Mounts]]
"""What an entry point names; its apps are served as long as the block of what it gives lasts."""


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
