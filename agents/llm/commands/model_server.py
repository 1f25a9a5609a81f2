"""Models behind a gateway: OpenAI's routes alone, for those who have a key or a token."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from starlette.responses import JSONResponse, Response

from agents.llm.commands.served_spec import ServedModel, idle_unload_s, served_models
from agents.llm.endpoint.app import unguarded_app
from agents.llm.endpoint.errors import ApiError
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.registry import DEFAULT_IDLE_UNLOAD_S, ModelRegistry
from guild.checking.plan import Plan
from guild.gateway.app import gateway_app
from guild.gateway.callers import AnyOf, Caller, Callers, OneSecret, Scope
from guild.gateway.exposure import Listening
from guild.gateway.mounted import Mounted
from guild.gateway.problems import headers_of, kind_of
from guild.gateway.serving import Server, listening

PATH = "/openai"

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def with_keys(keys: Iterable[str], tokens: Callers | None) -> Callers | None:
    """Those who have one of these API keys, or a token; None for everybody, without either."""
    may = frozenset({Scope.READ, Scope.PUBLISH})
    owners: list[Callers] = [
        OneSecret(Caller(f"api-key-{number}", may), key) for number, key in enumerate(keys, start=1)
    ]
    owners += [tokens] if tokens is not None else []
    return AnyOf(owners) if owners else None


async def serve(
    models: Mapping[str, EngineConfig],
    place: Listening,
    stop: asyncio.Event,
    *,
    callers: Callers | None = None,
    defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    loading: Callable[[str], None] | None = None,
    unload_after_s: float | None = DEFAULT_IDLE_UNLOAD_S,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve `models` until `stop` is set, or until cancelled.

    Answers have ten seconds to end then, and a model that is being loaded is waited for.

    Args:
        models: by the name that clients use.
        place: where to listen; checked by the caller.
        stop: ends it.
        callers: those who may ask; None for everybody.
        defaults: see `create_app`.
        loading: is told the name of each model before it is loaded, all of them before `ready`;
            None loads each with its first request.
        unload_after_s: seconds without a request after which a model is freed.
        ready: is told the URL for clients, as soon as they are answered.

    Raises:
        ExposureError: it is impossible to listen there.
        LLMInitializationError: a model cannot be loaded, where they are loaded first.
    """
    async with ModelRegistry(idle_unload_s=unload_after_s) as registry:
        routes = openai_routes(models, registry, defaults)
        app = gateway_app(
            None, tokens=callers, hosts=place.all_names, console=False, mounts={"": routes}
        )
        async with listening(app, place) as (server, url):
            if loading is None or await _are_loaded(models, registry, loading, server, stop):
                ready(f"{url}/v1")
            await _until(stop, server)


def openai_routes(
    models: Mapping[str, EngineConfig],
    registry: ModelRegistry,
    defaults: Mapping[str, Mapping[str, Any]],
) -> Mounted:
    """The routes of these models, which refuse strangers as OpenAI's API does."""
    return Mounted(unguarded_app(models, registry, defaults=defaults), _refused)


@asynccontextmanager
async def openai_beside(plan: Plan) -> AsyncIterator[Mapping[str, Mounted]]:
    """The models of a guild beside its gateway, at `/openai/v1`, each loaded when it is asked.

    The guild's own agents have theirs loaded by themselves: a model that both use is there twice.
    """
    served = served_models(plan)
    if not served:
        yield {}
        return
    models, defaults = named(served)
    async with ModelRegistry(idle_unload_s=idle_unload_s(plan)) as registry:
        yield {PATH: openai_routes(models, registry, defaults)}


def named(
    served: Iterable[ServedModel],
) -> tuple[Mapping[str, EngineConfig], Mapping[str, Mapping[str, Any]]]:
    """Configurations and defaults by every name that clients may use."""
    pairs = [(name, model) for model in served for name in (model.agent, model.name) if name]
    return (
        {name: model.config for name, model in pairs},
        {name: model.defaults for name, model in pairs},
    )


def _refused(error: Exception) -> Response:
    kind = kind_of(type(error))
    told = ApiError(
        kind.status,
        f"{error}. {kind.remedy}",
        kind=_KINDS.get(kind.status, "invalid_request_error"),
        code="invalid_api_key" if kind.status == 401 else None,  # noqa: PLR2004  unauthorized
    )
    return JSONResponse(told.body, told.status, headers_of(error))


async def _are_loaded(
    models: Mapping[str, EngineConfig],
    registry: ModelRegistry,
    loading: Callable[[str], None],
    server: Server,
    stop: asyncio.Event,
) -> bool:
    """Load each model; False where the server was stopped meanwhile."""
    names: dict[str, str] = {}
    for name, config in models.items():
        names.setdefault(config.key, name)

    async def load() -> None:
        for name in names.values():
            loading(name)
            async with registry.lease(models[name]):
                pass

    async with _waiting(_until(stop, server)) as stopped, _waiting(load()) as work:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        return work.done() and not stopped.done()


async def _until(stop: asyncio.Event, server: Server) -> None:
    """Return once it is to end, or has ended by itself."""
    async with _waiting(stop.wait()) as told:
        await asyncio.wait({told, server.running}, return_when=asyncio.FIRST_COMPLETED)


@asynccontextmanager
async def _waiting(work: Any) -> AsyncIterator["asyncio.Task[Any]"]:
    """A block beside which `work` goes on; it ends with the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
