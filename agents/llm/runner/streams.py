"""Iterators of pieces: their errors, and where they end."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from agents.llm.engines.errors import as_inference_error

T = TypeVar("T")


def typed(pieces: Iterator[T]) -> Iterator[T]:
    """The same pieces; what goes wrong is an `LLMError`. Closing it closes them."""
    try:
        yield from pieces
    except Exception as error:
        raise as_inference_error(error) from error
    finally:
        close(pieces)


def until(pieces: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
    """The pieces up to the first of these texts, which may be spread over several pieces."""
    if not stop:
        yield from pieces
        return
    longest = max(map(len, stop))
    held = ""
    for piece in pieces:
        held += piece
        found = [at for text in stop if (at := held.find(text)) >= 0]
        if found:
            yield held[: min(found)]
            return
        keep = len(held) - (longest - 1)
        if keep > 0:
            yield held[:keep]
            held = held[keep:]
    yield held


def close(pieces: Any) -> None:
    """Close what can be closed: a generator can, any other iterator may not."""
    getattr(pieces, "close", lambda: None)()
