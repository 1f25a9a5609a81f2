"""`/api/v1`: each row of the table as a route, which reads what it is sent; and their document."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from guild.checking.validation import with_hints
from guild.gateway.admission import Admission
from guild.gateway.endpoint import Call, Endpoint, Services, unless_store_hangs
from guild.gateway.errors import (
    BodyNotJsonError,
    BodyTooLargeError,
    BodyTooSlowError,
    BodyTypeError,
    InvalidBodyError,
    InvalidParameterError,
)
from guild.gateway.limits import Limits
from guild.gateway.openapi import document_of
from guild.gateway.problems import problem_response
from messaging.wire.json_limits import MOST_LEVELS, is_too_deep
from messaging.wire.message import problems_of

BodyT = TypeVar("BodyT", bound=BaseModel)

PREFIX = "/api/v1"
_NO_STORE = {"Cache-Control": "no-store"}
_GONE = 499


def api_routes(
    table: Sequence[Endpoint[Any, Any]],
    services: Services,
    admission: Admission,
    *,
    has_tokens: bool,
) -> Sequence[Route]:
    """A route for each row of the table, and one for the document."""
    document = TypeAdapter(Any).dump_json(document_of(table, has_tokens=has_tokens))

    async def show_document(_: Request) -> Response:
        return Response(document, 200, _NO_STORE, "application/json")

    def told(request: Request) -> Awaitable[ASGIApp]:
        admission.admit(request, None)
        return show_document(request)

    rows = [
        Route(
            f"{PREFIX}{endpoint.path}",
            _Answering(_handler(endpoint, services, admission)),
            methods=[endpoint.method],
        )
        for endpoint in table
    ]
    return [*rows, Route(f"{PREFIX}/openapi.json", _Answering(told), methods=["GET"])]


Handler = Callable[[Request], Awaitable[ASGIApp]]


class _Answering:
    """A handler as an app, whose errors become problems."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._handler(Request(scope, receive))
        except ClientDisconnect:
            response = Response(status_code=_GONE)  # which is not sent any more
        except Exception as error:  # noqa: BLE001  each has a row, or is logged
            response = problem_response(error)
        await response(scope, receive, send)


def _handler(endpoint: Endpoint[Any, Any], services: Services, admission: Admission) -> Handler:
    answer = TypeAdapter(endpoint.answer)

    async def handle(request: Request) -> ASGIApp:
        caller = admission.admit(request, endpoint.scope)
        query = _query(request, endpoint.query)
        raw_body, body = b"", None
        if endpoint.body is not None:
            raw_body = await read_body(request.headers, request.stream(), services.limits)
            body = parsed(raw_body, endpoint.body)
        path = dict(request.path_params)
        call = Call(request, services, caller, path, raw_body, body, query)
        handling = endpoint.handle(call)
        if endpoint.is_read:
            bus = lambda: call.bus  # noqa: E731  asked for only if the store is slow
            handling = unless_store_hangs(handling, bus, services.limits.store_s)
        given = await handling
        if callable(given):
            return given  # type: ignore[no-any-return]  # an app
        content = answer.dump_json(given)
        return Response(content, endpoint.status, _NO_STORE, "application/json")

    return handle


def _query(request: Request, shape: type[BaseModel] | None) -> BaseModel | None:
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidParameterError((f"{name[:100]}: it is given twice",))
        given[name] = value
    if shape is None and given:  # a choice that was meant for the body would choose everything
        raise InvalidParameterError([f"{name[:100]}: there is no such one" for name in given])
    if shape is None:
        return None
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise InvalidParameterError(with_hints(problems_of(error), shape)) from None


async def read_body(headers: Headers, chunks: AsyncIterator[bytes], limits: Limits) -> bytes:
    """The body, which is said to be JSON or nothing in particular.

    Raises:
        BodyTypeError: it is said to be something else.
        BodyTooLargeError: it is larger than it may be, or says so.
        BodyTooSlowError: it takes too long.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise BodyTypeError(media_type)
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise BodyTypeError(f"{media_type or 'JSON'}, compressed by {encoding}")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.body_bytes:
        raise BodyTooLargeError(limits.body_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for chunk in chunks:
                body += chunk
                if len(body) > limits.body_bytes:
                    raise BodyTooLargeError(limits.body_bytes)
    except TimeoutError:
        raise BodyTooSlowError(limits.body_s) from None
    return bytes(body)


def parsed(body: bytes, shape: type[BodyT]) -> BodyT:
    """The `shape` in a body; an empty one stands for an object without fields.

    Raises:
        BodyNotJsonError: it is no JSON, or nested deeper than a message may be.
        InvalidBodyError: it does not fit.
    """
    if is_too_deep(body):
        raise BodyNotJsonError(f"the body is nested deeper than {MOST_LEVELS} levels")
    try:
        given = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise BodyNotJsonError(f"the body is not JSON: {error}") from None
    try:
        if not isinstance(given, dict):
            body = b"[]"  # for the sentence that an object is wanted
        return shape.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        raise InvalidBodyError(with_hints(problems_of(error), shape)) from None
