"""Paths and methods that are none, told as problems like all else."""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from guild.gateway.errors import MethodNotAllowedError, NoSuchPathError
from guild.gateway.problems import problem_response

Handlers = Mapping[Any, Callable[[Request, Exception], Coroutine[Any, Any, Response]]]


def told_of_paths(there_is: str) -> Handlers:
    """For an app's `exception_handlers`; `there_is` says which paths it has."""

    async def tell(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "").split(", ")
            return problem_response(MethodNotAllowedError(request.method, path, sorted(allowed)))
        return problem_response(NoSuchPathError(path, there_is))

    return {HTTPException: tell}
