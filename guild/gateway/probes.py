"""What machines ask: whether the gateway lives, whether it can take work, and its figures."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from guild.client import GuildClient
from guild.errors import GuildError
from guild.gateway.admission import Admission
from guild.gateway.callers import Scope
from guild.gateway.errors import NoSuchPathError
from guild.gateway.problems import problem_response
from messaging.errors import MessagingError

Ready = Callable[[], Awaitable[str]]
"""Why no work can be taken now, "" if it can."""
Metrics = Callable[[str], "tuple[bytes, str] | Awaitable[tuple[bytes, str]]"]
"""Given what the client accepts: the figures as text, and its media type."""

LOOK_S = 2.0
FRESH_S = 1.0
_NO_STORE = {"Cache-Control": "no-store"}


def probe_routes(ready: Ready, metrics: Metrics, admission: Admission) -> Sequence[Route]:
    """`/healthz` and `/readyz`, which anybody may ask, and `/metrics` for tokens that may read."""

    async def show_health(_: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def show_readiness(_: Request) -> Response:
        why_not = await ready()
        return PlainTextResponse(f"{why_not or 'ok'}\n", 503 if why_not else 200, _NO_STORE)

    async def show_metrics(request: Request) -> Response:
        try:
            admission.admit(request, Scope.READ)
            told = metrics(request.headers.get("accept", ""))
            text, media_type = await told if inspect.isawaitable(told) else told
        except Exception as error:  # noqa: BLE001  what it runs is not the gateway's; it is logged
            return problem_response(error)
        return Response(text, 200, {**_NO_STORE, "Content-Type": media_type})

    return [
        Route("/healthz", show_health, methods=["GET"]),
        Route("/readyz", show_readiness, methods=["GET"]),
        Route("/metrics", show_metrics, methods=["GET"]),
    ]


def no_metrics(_: str) -> tuple[bytes, str]:
    """Answer that there are no metrics here."""
    raise NoSuchPathError(
        "/metrics",
        "figures are served beside a guild that runs, `guildbus run SPEC --http`, with `metrics`",
    )


def is_ready(client: Callable[[], GuildClient]) -> Ready:
    """Asks the bus, at most once a second however often it is asked."""
    lock = asyncio.Lock()
    said, asked_at = "", float("-inf")

    async def ready() -> str:
        nonlocal said, asked_at
        async with lock:
            if time.monotonic() - asked_at >= FRESH_S:
                said = await _why_not(client)
                asked_at = time.monotonic()
            return said

    return ready


async def _why_not(client: Callable[[], GuildClient]) -> str:
    try:
        async with asyncio.timeout(LOOK_S):
            await client().bus.backend.time()
    except GuildError:
        return "the guild is not running"
    except (MessagingError, TimeoutError):
        return "the bus is away"
    return ""
