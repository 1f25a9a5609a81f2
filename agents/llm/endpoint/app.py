"""Models for clients of OpenAI's API, as a Starlette app that also mounts into a host's."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agents.llm.endpoint.access import Guard, checked_key
from agents.llm.endpoint.answer import Answer, Kind
from agents.llm.endpoint.choices import ChatChoice, TextChoice
from agents.llm.endpoint.errors import ApiError, invalid, no_model
from agents.llm.endpoint.parameters import (
    ChatBody,
    CompletionBody,
    Sampling,
    read_json,
    with_defaults,
    without_ignored,
)
from agents.llm.endpoint.plan import plan_chat, plan_completion
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.registry import ModelRegistry

MAX_BODY_BYTES = 4 * 1024 * 1024
DEADLINE_S = 600.0
BODY_TIMEOUT_S = 30.0
_THERE = "/v1/models, /v1/chat/completions and /v1/completions"

BodyT = TypeVar("BodyT", bound=Sampling)

CHAT: Kind[ChatBody] = Kind(
    "chatcmpl",
    "chat.completion",
    "chat.completion.chunk",
    "messages",
    plan_chat,
    lambda index, plan, body: ChatChoice(index, plan, is_parallel=body.parallel_tool_calls),
)
COMPLETION: Kind[CompletionBody] = Kind(
    "cmpl",
    "text_completion",
    "text_completion",
    "prompt",
    plan_completion,
    lambda index, plan, body: TextChoice(index, plan, has_token_ids=body.return_token_ids),
)


def create_app(
    models: Mapping[str, EngineConfig],
    registry: ModelRegistry,
    *,
    defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    keys: Iterable[str] = (),
    hosts: Iterable[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
    deadline_s: float | None = DEADLINE_S,
) -> Starlette:
    """`/v1/models`, `/v1/chat/completions` and `/v1/completions` for clients of OpenAI's API.

    Mount it under any path. What a client asks for is done or refused by name.

    Args:
        models: by the name that clients use.
        registry: lends the models; its owner closes it.
        defaults: by the name of a model, parameters of the API for requests that do not say them.
        keys: one of them must come with each request; without any, all that reach the server may
            ask.
        hosts: names by which clients reach the server, beside `localhost` and addresses.
        max_body_bytes: larger requests are refused.
        deadline_s: seconds after which a generation ends with an error; None for never.

    Raises:
        ValueError: a key is too short.
    """
    guard = Middleware(Guard, keys=[checked_key(key) for key in keys], hosts=list(hosts))
    endpoint = _Endpoint(dict(models), defaults, registry, max_body_bytes, deadline_s)
    return _app(endpoint, [guard])


def unguarded_app(
    models: Mapping[str, EngineConfig],
    registry: ModelRegistry,
    *,
    defaults: Mapping[str, Mapping[str, Any]],
) -> Starlette:
    """As `create_app`, for a host that checks by itself who asks, by which name and origin."""
    return _app(_Endpoint(dict(models), defaults, registry, MAX_BODY_BYTES, DEADLINE_S), [])


def _app(endpoint: "_Endpoint", middleware: Sequence[Middleware]) -> Starlette:
    app = Starlette(
        routes=[
            Route("/v1/models", endpoint.list_models, methods=["GET"]),
            Route("/v1/models/{name:path}", endpoint.show_model, methods=["GET"]),
            Route("/v1/chat/completions", endpoint.chat, methods=["POST"]),
            Route("/v1/completions", endpoint.complete, methods=["POST"]),
        ],
        middleware=middleware,
        exception_handlers={
            ApiError: _told,
            HTTPException: _told_of_http,
            Exception: _told_of_failure,
        },
    )
    # A redirect would name the host and scheme that this server sees, not those of a proxy.
    app.router.redirect_slashes = False
    return app


class _Endpoint:
    def __init__(
        self,
        models: dict[str, EngineConfig],
        defaults: Mapping[str, Mapping[str, Any]],
        registry: ModelRegistry,
        max_body_bytes: int,
        deadline_s: float | None,
    ) -> None:
        self._models = models
        self._defaults = defaults
        self._registry = registry
        self._max_body_bytes = max_body_bytes
        self._deadline_s = deadline_s

    async def list_models(self, _: Request) -> Response:
        data = [_described(name, config) for name, config in self._models.items()]
        return JSONResponse({"object": "list", "data": data})

    async def show_model(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(_described(name, self._config(name)))

    async def chat(self, request: Request) -> ASGIApp:
        return await self._answer(CHAT, ChatBody, request)

    async def complete(self, request: Request) -> ASGIApp:
        return await self._answer(COMPLETION, CompletionBody, request)

    async def _answer(self, kind: Kind[BodyT], shape: type[BodyT], request: Request) -> ASGIApp:
        given = without_ignored(await self._body(request))
        name = given.get("model")
        if not isinstance(name, str):
            raise ApiError(400, "model: name one of /v1/models", param="model")
        config = self._config(name)
        try:
            body = shape.model_validate(with_defaults(given, self._defaults.get(name, {})))
        except ValidationError as error:
            raise invalid(error) from None
        return Answer(kind, body, config, self._registry, self._deadline_s)

    def _config(self, name: str) -> EngineConfig:
        if name not in self._models:
            raise no_model(name, self._models)
        return self._models[name]

    async def _body(self, request: Request) -> dict[str, Any]:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return read_json(await _limited(request.stream(), self._max_body_bytes))
        except TimeoutError:
            raise ApiError(408, f"the body did not come within {BODY_TIMEOUT_S} s") from None
        except ValueError as error:
            raise ApiError(400, f"the body is no JSON object: {error}") from None


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise ApiError(413, f"the body is larger than {max_bytes} bytes", code="body_too_large")
    return bytes(body)


def _described(name: str, config: EngineConfig) -> dict[str, Any]:
    described = {"id": name, "object": "model", "created": 0, "owned_by": "guildbus"}
    return described | (
        {"max_model_len": config.context_window} if config.context_window is not None else {}
    )


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status, error.headers)


async def _told_of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    method, path = request.method, request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = f"there is no {path}; this server has {_THERE}"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = " or ".join((error.headers or {}).get("Allow", "another method").split(", "))
        message = f"{path} takes {allowed}, not {method}"
    else:
        message = f"{method} {path}: {error.detail}"
    return JSONResponse(ApiError(error.status_code, message).body, error.status_code, error.headers)


async def _told_of_failure(_: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)
    failure = ApiError(500, "the server failed; its log says why", kind="server_error")
    return JSONResponse(failure.body, 500)
