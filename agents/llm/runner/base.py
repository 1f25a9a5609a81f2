"""What every runner does, around two methods of its own."""

import resource
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from pydantic import ValidationError

from agents.llm.blocking.closing import Closing
from agents.llm.chat import ChatMessage, chat_messages, render_chat
from agents.llm.dialogue.reading import parser_for
from agents.llm.dialogue.sampling import Sampling
from agents.llm.engines.errors import (
    InvalidRequestError,
    LLMError,
    LLMInferenceError,
    LLMInitializationError,
    as_inference_error,
    problems_of,
)
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS
from agents.llm.parsing import Collector, Part
from agents.llm.runner.config import ModelConfig
from agents.llm.runner.openai_shape import ChatShape, Completion

T = TypeVar("T")

Messages = Iterable[ChatMessage | Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]


class BaseLLMRunner(Closing):
    """Answers prompts and conversations from plain, blocking code. Any thread may use it.

    A runner of your own says how a model is loaded and how it streams text; the rest is here.

    Args:
        config: which model, and the values that calls leave out.

    Raises:
        LLMInitializationError: the model cannot be loaded.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._is_open = False
        self._open()

    @abstractmethod
    def _initialize_model(self) -> None:
        """Load the model; an exception becomes an `LLMInitializationError`."""

    @abstractmethod
    def _run_streaming(self, prompt: str, max_tokens: int, temperature: float) -> Iterator[str]:
        """The pieces of text that continue `prompt`; closed when no more are wanted."""

    def _free_model(self) -> None:
        """Free what `_initialize_model` took."""

    def _model_bytes(self) -> int:
        """What the model occupies, its caches included; 0 where that is not known."""
        return 0

    def _continue(self, prompt: str, max_tokens: int | None, temperature: float) -> Iterator[str]:
        """As `_run_streaming`; 512 tokens without a limit, unless overridden."""
        return self._run_streaming(prompt, max_tokens or DEFAULT_MAX_NEW_TOKENS, temperature)

    def _chat(
        self,
        messages: Sequence[ChatMessage],
        max_tokens: int | None,
        temperature: float,
        tools: Tools,
    ) -> Iterator[Part | Completion]:
        """The parts of an answer, then the whole; by a plain template, unless overridden."""
        prompt = render_chat(messages, tools=tools)
        parser = parser_for(prompt, tools)
        collector = Collector()
        pieces = self._continue(prompt.text, max_tokens, temperature)
        try:
            for piece in _until(pieces, (*prompt.stop, *self.config.stop)):
                for part in parser.push(piece):
                    collector.add(part)
                    yield part
        finally:
            _close(pieces)
        for part in parser.finish():
            collector.add(part)
            yield part
        yield Completion(collector.parsed)

    @property
    def is_loaded(self) -> bool:
        return self._is_open

    def run(
        self, prompt: str, max_tokens: int | None = None, temperature: float | None = None
    ) -> str:
        """What continues the prompt; the same as `generate_text`."""
        return self.generate_text(prompt, max_tokens, temperature)

    def generate_text(
        self, prompt: str, max_tokens: int | None = None, temperature: float | None = None
    ) -> str:
        """What continues the prompt, as one text.

        Raises:
            LLMInferenceError: it failed.
        """
        return "".join(self.generate_text_streaming(prompt, max_tokens, temperature))

    def generate_text_streaming(
        self, prompt: str, max_tokens: int | None = None, temperature: float | None = None
    ) -> Iterator[str]:
        """What continues the prompt, piece by piece; closing the iterator ends the work.

        Raises:
            LLMInferenceError: it failed.
        """
        limit, warmth = self._limits(max_tokens, temperature)
        return _typed(self._continue(prompt, limit, warmth))

    @overload
    def create_chat_completion(
        self,
        messages: Messages,
        max_tokens: int | None = ...,
        temperature: float | None = ...,
        *,
        stream: Literal[False] = ...,
        tools: Tools = ...,
    ) -> dict[str, Any]: ...
    @overload
    def create_chat_completion(
        self,
        messages: Messages,
        max_tokens: int | None = ...,
        temperature: float | None = ...,
        *,
        stream: Literal[True],
        tools: Tools = ...,
    ) -> Iterator[dict[str, Any]]: ...
    def create_chat_completion(
        self,
        messages: Messages,
        max_tokens: int | None = None,
        temperature: float | None = None,
        *,
        stream: bool = False,
        tools: Tools = (),
    ) -> dict[str, Any] | Iterator[dict[str, Any]]:
        """The answer to a conversation, in the shape of OpenAI's API.

        Args:
            messages: OpenAI's dictionaries.
            max_tokens: limit on the tokens of the answer; None is the configuration's.
            temperature: 0 chooses the likeliest token.
            stream: give OpenAI's chunks as they come, the last one with the usage.
            tools: OpenAI's shape; calls are in the answer, for the caller to run.

        Raises:
            InvalidRequestError: the messages make no conversation.
            LLMInferenceError: it failed.
        """
        try:
            conversation = chat_messages(messages)
        except ValidationError as error:
            raise InvalidRequestError(f"the messages: {problems_of(error)}") from None
        limit, warmth = self._limits(max_tokens, temperature)
        shape = ChatShape(self.config.model_path)
        parts = _typed(self._chat(conversation, limit, warmth, tools))
        if stream:
            return shape.chunks(parts)
        return shape.whole(parts)

    def reload(self) -> None:
        """Free the model and load it again, from what is under its path now.

        Raises:
            LLMInitializationError: it cannot be loaded; the next call of `reload` tries again.
        """
        self.close()
        self._open()

    def memory_usage(self) -> dict[str, int]:
        """Bytes: `model` with its caches, and `process`, the most that this process ever had."""
        return {"model": self._model_bytes(), "process": _peak_bytes()}

    def close(self) -> None:
        """Free the model; `reload` brings it back."""
        if self._is_open:
            self._is_open = False
            self._free_model()

    def _open(self) -> None:
        try:
            self._initialize_model()
        except LLMError:
            raise
        except Exception as error:
            raise LLMInitializationError(
                f"{self.config.model_path} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        self._is_open = True

    def _limits(
        self, max_tokens: int | None, temperature: float | None
    ) -> tuple[int | None, float]:
        if not self._is_open:
            raise LLMInferenceError(f"the runner of {self.config.model_path} is closed: reload()")
        limit = self.config.max_tokens if max_tokens is None else max_tokens
        warmth = self.config.temperature if temperature is None else temperature
        Sampling().but(max_new_tokens=limit, temperature=warmth)  # refuses what makes no sense
        return limit, warmth


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _typed(pieces: Iterator[T]) -> Iterator[T]:
    """The same pieces; what goes wrong is an `LLMError`. Closing it closes them."""
    try:
        yield from pieces
    except Exception as error:
        raise as_inference_error(error) from error
    finally:
        _close(pieces)


def _until(pieces: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
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


def _close(pieces: Any) -> None:
    """Close what can be closed: a generator can, any other iterator may not."""
    getattr(pieces, "close", lambda: None)()
