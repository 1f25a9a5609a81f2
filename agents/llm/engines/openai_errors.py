"""What can go wrong with a model on a server.

LLMInitializationError
└── ServerRefusedKeyError       the server does not accept the key
LLMInferenceError
├── ServerUnreachableError      nothing answers there, or the server is out of order
├── ServerSilentError           it has accepted the request and then said nothing for too long
├── ServerAnswerError           what it says is no answer, or ends in its middle
│   └── ServerLogprobsError     it was asked for log-probabilities and tells none
└── EngineBusyError
    └── ServerBusyError         it has too much to do
ContextOverflowError
└── ServerOverflowError         the prompt and its answer do not fit the model's window there
Otherwise: `ModelNotFoundError`, `InvalidRequestError` with the server's own words.
"""

import json
from typing import Any

from agents.llm.engines.errors import (
    ContextOverflowError,
    EngineBusyError,
    InvalidRequestError,
    LLMError,
    LLMInferenceError,
    LLMInitializationError,
    ModelNotFoundError,
)

_MAX_TOLD = 300
_SERVER_ERRORS = 500
_OVERFLOWS = {"context_length_exceeded", "exceed_context_size_error"}


class ServerRefusedKeyError(LLMInitializationError):
    """The server does not accept the key."""


class ServerUnreachableError(LLMInferenceError):
    """Nothing answers, or the server is out of order."""


class ServerSilentError(LLMInferenceError):
    """The server accepted the request and then said nothing for too long."""


class ServerAnswerError(LLMInferenceError):
    """What the server says is no answer, or ends in its middle."""


class ServerLogprobsError(ServerAnswerError):
    """The server was asked for log-probabilities and tells none."""


class ServerBusyError(EngineBusyError):
    """The server has too much to do."""

    def __init__(self, server: str, told: str) -> None:
        super().__init__(server, 0)
        self.args = (f"{server} is busy; try again later{told}",)


class ServerOverflowError(ContextOverflowError):
    """The prompt and its answer do not fit the window; how many tokens there are, the server says.

    The counts are 0.
    """

    def __init__(self, refused: str) -> None:
        super().__init__(prompt_tokens=0, new_tokens=0, context_window=0)
        self.args = (refused,)


RETRIED = frozenset({429, 502, 503})


def error_of(server: str, model: str, status: int, body: bytes) -> LLMError:
    """What an answer with this status means."""
    told = _told(body)
    match status:
        case 401 | 403:
            return ServerRefusedKeyError(
                f"{server} refuses the API key; check the variable that api_key_env names{told}"
            )
        case 404:
            return ModelNotFoundError(f"{server} has no model {model!r}, or no such API{told}")
        case 429:
            return ServerBusyError(server, told)
        case _ if status >= _SERVER_ERRORS:
            return ServerUnreachableError(f"{server} failed with status {status}{told}")
        case _ if 300 <= status < 400:  # noqa: PLR2004  HTTP's redirections
            return ServerAnswerError(
                f"{server} redirects elsewhere (status {status}), which is not followed; give the "
                "final address as base_url"
            )
        case _:
            refused = f"the server refuses the request, status {status}{told}"
            kind = ServerOverflowError if _is_overflow(body) else InvalidRequestError
            return kind(refused)


def no_stream(server: str, kind: str, body: bytes) -> LLMError:
    """What an answer means that is no stream; some servers tell of failures with status 200."""
    return ServerAnswerError(
        f"{server} answers with {kind[:80]!r} in the place of a stream; is base_url the address "
        f"of its API?{_told(body)}"
    )


def error_in_stream(server: str, error: Any) -> LLMError:
    """What an error means that comes in the place of a piece."""
    return LLMInferenceError(f"{server} failed in its answer{_said(error)}")


def _told(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return _said(document.get("error", document) if isinstance(document, dict) else None)


def _is_overflow(body: bytes) -> bool:
    """As OpenAI and Guildbus, llama.cpp and vLLM say it."""
    try:
        error = json.loads(body)["error"]
        codes, message = {error.get("code"), error.get("type")}, error.get("message")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return False
    return bool(codes & _OVERFLOWS) or "maximum context length" in str(message)


def _said(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message.strip():
        return ""
    printable = "".join(char if char.isprintable() else " " for char in message)
    return f": {printable.strip()[:_MAX_TOLD]}"
