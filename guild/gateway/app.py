"""The gateway as a Starlette app, which also mounts into a host's."""

import os
from collections.abc import Callable, Iterable
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from guild.client import GuildClient
from guild.gateway.admission import Admission, Admitted
from guild.gateway.api import PREFIX, api_routes
from guild.gateway.callers import Callers
from guild.gateway.endpoint import Services
from guild.gateway.guard import Guard
from guild.gateway.limits import DEFAULT_LIMITS, Limits
from guild.gateway.live import LiveHub
from guild.gateway.mounted import Mounts
from guild.gateway.page import page_routes
from guild.gateway.probes import Metrics, Ready, is_ready, no_metrics, probe_routes
from guild.gateway.problems import told_of_paths
from guild.gateway.reused import UsedKeys
from guild.gateway.streams import Streams
from guild.gateway.table import TABLE
from guild.gateway.tokens import TokenFile


def gateway_app(
    client: GuildClient | Callable[[], GuildClient] | None,
    *,
    tokens: Callers | str | os.PathLike[str] | None = None,
    hosts: Iterable[str] = (),
    console: bool = True,
    mounts: Mounts = MappingProxyType({}),
    limits: Limits = DEFAULT_LIMITS,
    ready: Ready | None = None,
    metrics: Metrics | None = None,
) -> Starlette:
    """A guild over HTTP. Mount it under any path, or serve it by itself.

    `/api/v1` with its `openapi.json`, the console at the root, `/healthz` and `/readyz`, and
    `/metrics` where there are some.

    Args:
        client: of the guild; or what returns it, for a host that starts its guild later. None for
            what is mounted alone.
        tokens: the file of those who may call, see `guildbus tokens`, or any other `Callers`. None
            lets everybody in who reaches the app: then serve it on loopback only.
        hosts: names by which clients reach the app, beside `localhost` and addresses.
        console: serve the pages of the console.
        mounts: further apps by their path: to GET there a token must be good for read, for all else
            for publish. An app may come with its own way to refuse the others, as `Mounted`.
        limits: of requests and streams.
        ready: why no work can be taken now, "" if it can; None asks the bus.
        metrics: given the header Accept, the text of `/metrics` and its media type, for callers
            whose token may read.

    Raises:
        TokenFileError: the file of tokens cannot be used.
    """
    callers = TokenFile(tokens) if isinstance(tokens, str | os.PathLike) else tokens
    admission = Admission(limits)
    streams = Streams(limits)
    routes: list[BaseRoute] = []
    if client is not None:
        find_client = client if not isinstance(client, GuildClient) else lambda: client
        live, mounted = LiveHub(find_client), frozenset(mounts)
        services = Services(find_client, limits, streams, UsedKeys(), live, mounted)
        routes += api_routes(TABLE, services, admission, has_tokens=callers is not None)
        ready = ready or is_ready(find_client)
    routes += probe_routes(ready or _is_always_ready, metrics or no_metrics, admission)
    routes += page_routes() if console else ()
    routes += [Mount(path, app=Admitted(app, admission)) for path, app in mounts.items()]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, callers=callers, hosts=list(hosts))],
        exception_handlers=told_of_paths(f"{{prefix}}{PREFIX}/openapi.json lists what there is"),
    )
    # A redirect to a path without its last slash would name the host and scheme that this server
    # sees, which are not those of a proxy in front of it.
    app.router.redirect_slashes = False
    app.state.streams = streams
    return app


async def _is_always_ready() -> str:
    return ""
