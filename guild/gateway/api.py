"""`/api/v1`: each row of the table as a route, and the document of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from guild.gateway.admission import Admission
from guild.gateway.bodies import parsed, read_body
from guild.gateway.endpoint import Call, Endpoint, Services
from guild.gateway.errors import InvalidParameterError
from guild.gateway.openapi import document_of
from guild.gateway.problems import problem_response
from messaging.wire.message import problems_of

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
        query = None if endpoint.query is None else _query(request, endpoint.query)
        raw_body, body = b"", None
        if endpoint.body is not None:
            raw_body = await read_body(request.headers, request.stream(), services.limits)
            body = parsed(raw_body, endpoint.body)
        path = dict(request.path_params)
        given = await endpoint.handle(Call(request, services, caller, path, raw_body, body, query))
        if callable(given):
            return given  # type: ignore[no-any-return]  # an app
        content = answer.dump_json(given)
        return Response(content, endpoint.status, _NO_STORE, "application/json")

    return handle


def _query(request: Request, shape: type[BaseModel]) -> BaseModel:
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidParameterError((f"{name[:100]}: it is given twice",))
        given[name] = value
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise InvalidParameterError(problems_of(error)) from None
