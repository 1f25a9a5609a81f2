"""An answer of a conversation, on its way and whole."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Self

from agents.llm.chat import ChatMessage
from agents.llm.dialogue.reading import Reading
from agents.llm.dialogue.usage import Usage
from agents.llm.engines import Finished, FinishReason, Generation, TextDelta
from agents.llm.parsing import Collector, Parsed, Part


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        parsed: reasoning, text and tool calls.
        finish_reason: why it ended.
        usage: what it cost.
        dropped: messages that the model was not told, since they did not fit.
        value: what a structured answer means; None where none was asked for, or it is incomplete.
    """

    parsed: Parsed
    finish_reason: FinishReason
    usage: Usage
    dropped: tuple[ChatMessage, ...] = ()
    value: Any = None

    def metadata(self, model: str) -> dict[str, Any]:
        """What is told beside the answer of an agent."""
        told: dict[str, Any] = {
            "model": model,
            "finish_reason": str(self.finish_reason),
            "usage": self.usage.model_dump(),
        }
        if self.dropped:
            told["dropped_messages"] = [
                {"role": message.role, "content": message.content} for message in self.dropped
            ]
        return told


class Answering:
    """An answer on its way: iterate it for its parts; `answer` is there when it has ended.

    As an async context manager it is cancelled when the block is left.
    """

    def __init__(
        self,
        generation: Generation,
        reading: Reading,
        window: int,
        dropped: tuple[ChatMessage, ...] = (),
    ) -> None:
        self._generation = generation
        self._reading = reading
        self._parser = reading.parser()
        self._window = window
        self._dropped = dropped
        self._answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The whole answer, once all parts have been taken."""
        assert self._answer is not None, "iterate to the end first"
        return self._answer

    async def whole(self, watch: Callable[[Part], None] | None = None) -> Answer:
        """The whole answer; `watch` sees its parts while they come.

        Raises:
            LLMError: the generation failed.
        """
        async with self:
            async for part in self:
                if watch is not None:
                    watch(part)
        return self.answer

    async def __aiter__(self) -> AsyncIterator[Part]:
        """The parts.

        Raises:
            LLMError: the generation failed.
        """
        collector = Collector()
        async for event in self._generation:
            if isinstance(event, TextDelta):
                parts = self._parser.push(event.text)
            elif event.error is not None:
                raise event.error
            else:
                parts = self._reading.last_parts(self._parser, event)
                finished = event
            for part in parts:
                collector.add(part)
                yield part
        self._answer = self._whole(collector.parsed, finished)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._generation.cancel()

    def _whole(self, parsed: Parsed, finished: Finished) -> Answer:
        parsed, value = self._reading.whole(parsed, finished)
        usage = Usage.of(finished, self._window, getattr(self._generation, "counted", None))
        return Answer(parsed, finished.reason, usage, self._dropped, value)
