"""The OpenAPI 3.1 document of the table of routes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter

from guild.gateway.endpoint import EVENT_STREAM, Endpoint
from guild.gateway.errors import (
    AmbiguousLengthError,
    BodyNotJsonError,
    BodyTooLargeError,
    BodyTooSlowError,
    BodyTypeError,
    HostNotAllowedError,
    InvalidBodyError,
    InvalidParameterError,
    KeyReusedError,
    OriginNotAllowedError,
    ScopeMissingError,
    TokenMissingError,
    TokenUnknownError,
    TooManyRequestsError,
    TooManyStreamsError,
)
from guild.gateway.problems import PROBLEM_TYPE, Problem, kind_of
from messaging.errors import BackendUnavailableError, NotReplicatedError

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
_EVERYWHERE = (
    HostNotAllowedError,
    AmbiguousLengthError,
    OriginNotAllowedError,
    TokenMissingError,
    TokenUnknownError,
    ScopeMissingError,
    TooManyRequestsError,
    InvalidParameterError,
    BackendUnavailableError,
)
_OF_A_BODY = (
    BodyTypeError,
    BodyTooLargeError,
    BodyTooSlowError,
    BodyNotJsonError,
    InvalidBodyError,
)


def document_of(table: Sequence[Endpoint[Any, Any]], *, has_tokens: bool) -> Json:
    """The document; its one server is the folder that it lies in."""
    schemas = _Schemas(table)
    paths: dict[str, Json] = {}
    for endpoint in table:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, schemas, has_tokens=has_tokens
        )
    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Guildbus",
            "version": version("guildbus"),
            "description": "A guild over HTTP: publish, ask, look, operate. What goes wrong is "
            f"told as `{PROBLEM_TYPE}` (RFC 9457), with the class of the error and what to do.",
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": schemas.named},
    }
    if has_tokens:
        document["components"]["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "Made by `guildbus tokens add`. The roles are the token's scopes.",
            }
        }
    return document


class _Schemas:
    """The schemas of everything that the table names."""

    def __init__(self, table: Sequence[Endpoint[Any, Any]]) -> None:
        given = dict.fromkeys(
            each for row in table for each in (row.body, row.query) if each is not None
        )
        told = dict.fromkeys(
            each
            for row in table
            for each in (row.answer, row.later, *(row.events or {}).values(), Problem)
            if each is not None
        )
        inputs = [
            *((each, "validation", TypeAdapter(each)) for each in given),
            *((each, "serialization", TypeAdapter(each)) for each in told),
        ]
        found, rest = TypeAdapter.json_schemas(inputs, ref_template=_REF)  # type: ignore[arg-type]
        self._found = {key: schema for (key, _), schema in found.items()}
        self.named: Json = rest.get("$defs", {})

    def of(self, shape: Any) -> Json:
        return self._found[shape]

    def resolved(self, shape: Any) -> Json:
        """The schema itself, where `of` refers to it."""
        schema = self.of(shape)
        ref = schema.get("$ref", "")
        return self.named[ref.rpartition("/")[2]] if ref else schema


def _operation(endpoint: Endpoint[Any, Any], schemas: _Schemas, *, has_tokens: bool) -> Json:
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.path.split("/")[1]],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, schemas)],
        "responses": _responses(endpoint, schemas),
    }
    operation["parameters"] += [
        _parameter(name, "header", {"type": "string"}, what, is_required=False)
        for name, what in (endpoint.headers or {}).items()
    ]
    if endpoint.body is not None:
        is_required = bool(schemas.resolved(endpoint.body).get("required"))
        operation["requestBody"] = {
            "required": is_required,
            "content": {"application/json": {"schema": schemas.of(endpoint.body)}},
        }
    if has_tokens:
        operation["security"] = [{"token": [endpoint.scope] if endpoint.scope else []}]
    return operation


def _path_parameters(endpoint: Endpoint[Any, Any]) -> Iterable[Json]:
    for name in re.findall(r"{(\w+)}", endpoint.path):
        pattern = {"pattern": "^[0-9a-f]{32}$"} if name == "message_id" else {}
        yield _parameter(name, "path", {"type": "string", **pattern}, "", is_required=True)


def _query_parameters(endpoint: Endpoint[Any, Any], schemas: _Schemas) -> Iterable[Json]:
    if endpoint.query is None:
        return
    shape = schemas.resolved(endpoint.query)
    for name, schema in shape.get("properties", {}).items():
        plain = {key: value for key, value in schema.items() if key != "title"}
        what = plain.pop("description", "")
        is_required = name in shape.get("required", ())
        yield _parameter(name, "query", plain, what, is_required=is_required)


def _parameter(name: str, place: str, schema: Json, what: str, *, is_required: bool) -> Json:
    parameter: Json = {"name": name, "in": place, "required": is_required, "schema": schema}
    return parameter | ({"description": what} if what else {})


def _responses(endpoint: Endpoint[Any, Any], schemas: _Schemas) -> Json:
    content: Json = {}
    if endpoint.answer is not None:
        content["application/json"] = {"schema": schemas.of(endpoint.answer)}
    if endpoint.events:
        content[EVENT_STREAM] = _stream(endpoint.events, schemas)
    responses: Json = {str(endpoint.status): {"description": "Done", "content": content}}
    if endpoint.events:
        responses["204"] = {"description": "A stream behind whose Last-Event-ID nothing comes"}
    if endpoint.later is not None:
        responses["202"] = {
            "description": "Accepted; the answer comes later",
            "headers": {"Location": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": schemas.of(endpoint.later)}},
        }
    return responses | _problems(endpoint, schemas)


def _stream(events: Mapping[str, Any], schemas: _Schemas) -> Json:
    return {
        "schema": {"type": "string", "description": f"Events: {', '.join(events)}."},
        "x-events": {name: schemas.of(shape) for name, shape in events.items()},
    }


def _problems(endpoint: Endpoint[Any, Any], schemas: _Schemas) -> Json:
    by_status: dict[str, list[type[Exception]]] = {}
    for error in problems_of_route(endpoint):
        by_status.setdefault(str(kind_of(error).status), []).append(error)
    return {
        status: {
            "description": "; ".join(kind_of(error).title for error in errors),
            "content": {PROBLEM_TYPE: {"schema": schemas.of(Problem)}},
            "x-problems": [
                {
                    "error": error.__name__,
                    "title": kind_of(error).title,
                    "remedy": kind_of(error).remedy,
                }
                for error in errors
            ],
        }
        for status, errors in sorted(by_status.items())
    }


def problems_of_route(endpoint: Endpoint[Any, Any]) -> Sequence[type[Exception]]:
    """The errors that a caller of this route should know."""
    return [
        *_EVERYWHERE,
        *(_OF_A_BODY if endpoint.body is not None else ()),
        *((NotReplicatedError,) if endpoint.method == "POST" else ()),
        *((KeyReusedError,) if "Idempotency-Key" in (endpoint.headers or {}) else ()),
        *((TooManyStreamsError,) if endpoint.events else ()),
        *(each for each in endpoint.problems if each not in _EVERYWHERE),
    ]
