"""The body of a request: as much of it as is allowed, in time, as JSON of the wanted shape."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import Headers

from guild.gateway.errors import (
    BodyNotJsonError,
    BodyTooLargeError,
    BodyTooSlowError,
    BodyTypeError,
    InvalidBodyError,
)
from guild.gateway.limits import Limits
from messaging.wire.json_limits import MOST_LEVELS, is_too_deep
from messaging.wire.message import problems_of

BodyT = TypeVar("BodyT", bound=BaseModel)


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
        return shape.model_validate_json(body or b"{}") if isinstance(given, dict) else _none(shape)
    except ValidationError as error:
        raise InvalidBodyError(problems_of(error)) from None


def _none(shape: type[BodyT]) -> BodyT:
    return shape.model_validate_json(b"[]")  # for the sentence that an object is wanted
