"""Which failures of a model are worth another attempt."""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.llm.engines.errors import (
    DeviceUnavailableError,
    InvalidRequestError,
    LLMError,
    MissingDependencyError,
    ModelDamagedError,
    ModelNotFoundError,
    UnknownBackendError,
)

# Trying these again would fail again: the remedy is somebody's.
_LASTING = (
    DeviceUnavailableError,
    InvalidRequestError,
    MissingDependencyError,
    ModelDamagedError,
    ModelNotFoundError,
    UnknownBackendError,
)


def is_lasting(error: LLMError) -> bool:
    """Whether the same would fail again."""
    return isinstance(error, _LASTING)


@contextmanager
def told_to_the_bus() -> Iterator[None]:
    """Errors of a model leave the block with what the bus reads: whether to try again."""
    try:
        yield
    except LLMError as error:
        error.retryable = not is_lasting(error)  # type: ignore[attr-defined] # read by the bus
        raise
