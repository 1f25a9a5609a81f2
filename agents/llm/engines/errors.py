"""What can go wrong with a language model.

LLMError
├── LLMInitializationError       the model cannot be made ready; tried again on next use
│   ├── ModelNotFoundError       no such folder, or no such model on the hub
│   ├── ModelDamagedError        the folder is there, but no usable model is in it
│   ├── HubUnreachableError      not in the local cache, and the hub cannot be reached
│   ├── DeviceUnavailableError   the device asked for does not exist here
│   ├── MissingDependencyError   a package of an extra is not installed
│   └── UnknownBackendError      the configuration names a backend that does not exist
└── LLMInferenceError            one generation failed; the engine lives on
    ├── InvalidRequestError      the request makes no sense for this model
    │   └── ContextOverflowError prompt and new tokens do not fit the context window
    ├── EngineBusyError          the queue is full; try again later
    ├── EngineClosedError        the engine was closed before or during the generation
    └── OutOfMemoryError         the device had no memory left for this request
"""

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agents._suggest import did_you_mean


class LLMError(Exception):
    """Root of everything a language model's engine raises."""


class LLMInitializationError(LLMError):
    """The model cannot be made ready; the next use tries again."""


class ModelNotFoundError(LLMInitializationError):
    """There is no such folder, or no such model on the hub."""


class ModelDamagedError(LLMInitializationError):
    """The folder exists, but no usable model is in it."""


class HubUnreachableError(LLMInitializationError):
    """The model is not in the local cache and the hub cannot be reached."""


class DeviceUnavailableError(LLMInitializationError):
    """The device that was asked for does not exist on this machine."""


class MissingDependencyError(LLMInitializationError):
    """A package that the backend needs is not installed."""


class UnknownBackendError(LLMInitializationError):
    """The configuration names a backend that does not exist."""

    def __init__(self, backend: str, known: Iterable[str]) -> None:
        names = sorted(known)
        hint = did_you_mean(backend, names)
        super().__init__(f"there is no backend {backend!r}{hint} (known: {', '.join(names)})")
        self.backend = backend


class LLMInferenceError(LLMError):
    """One generation failed; the engine lives on."""


class InvalidRequestError(LLMInferenceError):
    """The request makes no sense for this model."""


class ContextOverflowError(InvalidRequestError):
    """Prompt and new tokens do not fit the model's context window."""

    def __init__(self, *, prompt_tokens: int, new_tokens: int, context_window: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.new_tokens = new_tokens
        self.context_window = context_window
        self.excess_tokens = prompt_tokens + new_tokens - context_window
        super().__init__(
            f"{prompt_tokens} prompt tokens and {new_tokens} new ones are {self.excess_tokens} "
            f"more than the context window of {context_window}; shorten the prompt or lower "
            "max_new_tokens"
        )


class EngineBusyError(LLMInferenceError):
    """The queue is full; try again when something has finished."""

    def __init__(self, model: str, queue_length: int) -> None:
        super().__init__(f"{model}: {queue_length} requests are waiting already; try again later")
        self.queue_length = queue_length


class EngineClosedError(LLMInferenceError):
    """The engine was closed before or during the generation."""


class OutOfMemoryError(LLMInferenceError):
    """The device had no memory left for this request; others go on."""


def as_inference_error(error: Exception) -> LLMError:
    """`error` itself when it is typed already, else wrapped with its cause kept."""
    if isinstance(error, LLMError):
        return error
    wrapped = LLMInferenceError(f"the generation failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def problems_of(error: ValidationError) -> str:
    """What is wrong, field by field, in one line."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {_sentence(item)}"
        for item in error.errors(include_url=False)
    )


def _sentence(problem: ErrorDetails) -> str:
    return "there is no such key" if problem["type"] == "extra_forbidden" else problem["msg"]
