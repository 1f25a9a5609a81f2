"""What goes wrong, as OpenAI's API tells it.

Texts of failures inside the server stay in its log: they may name folders and other machines.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from agents.llm.engines.errors import (
    ContextOverflowError,
    EngineBusyError,
    EngineClosedError,
    InvalidRequestError,
    LLMError,
    LLMInitializationError,
    OutOfMemoryError,
)

log = logging.getLogger("guildbus")

RETRY_AFTER_S = 1
_MAX_SHOWN = 20
_MAX_CHARS = 200


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


def unsupported(param: str, why: str) -> ApiError:
    """A parameter that is known but cannot be followed."""
    return ApiError(400, f"{param}: {why}", param=param, code="unsupported_parameter")


def invalid(error: ValidationError) -> ApiError:
    """The first thing that is wrong with a body, by its name."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = list(first["loc"])
    if path[:1] == ["response_format"]:
        del path[1:2]  # its type, by which its shape was chosen
    is_unknown = first["type"] == "extra_forbidden"
    # What the client calls an unknown parameter is its name, however it looks.
    named = [key for key in path[:-1] if _is_name(key)] + [
        key for key in path[-1:] if is_unknown or _is_name(key)
    ]
    param = ".".join(map(str, named))[:_MAX_CHARS]
    if is_unknown:
        return ApiError(
            400,
            f"unrecognized parameter: {param}; leave it out",
            param=param,
            code="unknown_parameter",
        )
    message = _in_json_words(first["msg"].removeprefix("Value error, "))
    return ApiError(400, f"{param}: {message}" if param else message, param=param or None)


def _in_json_words(text: str) -> str:
    """Without Python's kinds of lists, which no client has sent."""
    text = text.replace("Tuple should", "Array should").replace("List should", "Array should")
    return re.sub(r"valid (tuple|list)\b", "valid array", text).replace(" after validation", "")


def _is_name(key: int | str) -> bool:
    """Whether a part of a path is the client's: types that were tried stand there, too."""
    if isinstance(key, int):
        return True
    return key.isidentifier() and key[0].islower() and key not in {"str", "int", "bool", "float"}


def as_api_error(error: LLMError, model: str, given: str | None = None) -> ApiError:
    """What a client is told of a failure of the engine; `given` is the parameter of the prompt."""
    match error:
        case ContextOverflowError():
            return ApiError(400, str(error), code="context_length_exceeded", param=given)
        case InvalidRequestError():
            notes = "; ".join(getattr(error, "__notes__", ()))
            return ApiError(400, f"{error} ({notes})" if notes else str(error))
        case EngineBusyError():
            return ApiError(
                429,
                f"{model} is busy; try again later",
                kind="rate_limit_error",
                code="engine_busy",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case OutOfMemoryError() | EngineClosedError() | LLMInitializationError():
            log.error("model.unavailable: %s: %s: %s", model, type(error).__name__, error)
            return ApiError(
                503,
                f"{model} is not available; the server's log says why",
                kind="server_error",
                code="model_unavailable",
            )
        case _:
            log.error("generation.failed: %s: %s: %s", model, type(error).__name__, error)
            return ApiError(
                500, "the generation failed; the server's log says why", kind="server_error"
            )


def no_model(name: str, known: Iterable[str]) -> ApiError:
    """For a client that asks for a model by a name that the server does not have."""
    names = list(known)
    shown = ", ".join(names[:_MAX_SHOWN]) + (" …" if len(names) > _MAX_SHOWN else "")
    text = f"there is no model {name[:200]!r}; this server has {shown or 'none'}"
    return ApiError(404, text, param="model", code="model_not_found")
