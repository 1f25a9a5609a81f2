"""From messages to an answer: template, window, engine, parser and usage put together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from agents.llm.chat import ChatMessage, ChatPrompt, Fitted, OverflowPolicy, fit_window, render_chat
from agents.llm.dialogue.sampling import Sampling
from agents.llm.dialogue.structure import constraint_for, grammar_of_calls
from agents.llm.dialogue.usage import Usage
from agents.llm.engines import Constraint, Engine, Finished, FinishReason, Generation
from agents.llm.engines import TextDelta as EngineDelta
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS
from agents.llm.parsing import (
    Collector,
    OutputParser,
    Parsed,
    Part,
    ToolCall,
    parse_answer,
)

if TYPE_CHECKING:
    from agents.llm.structured import Grammar

Schemas = Sequence[Mapping[str, Any]]


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


@dataclass(frozen=True)
class Dialogue:
    """Conversations with an engine, all under the same conditions.

    Attributes:
        engine: who answers.
        sampling: how.
        overflow: what happens to a conversation that does not fit the context window.
        tools: what may be called, in OpenAI's shape.
        tool_choice: `auto`, `none`, `required` or the name of a tool; the last two constrain the
            answer to a call with valid arguments.
        grammar: what the answer must look like.
    """

    engine: Engine
    sampling: Sampling
    overflow: OverflowPolicy = "refuse"
    tools: Schemas = ()
    tool_choice: str = "auto"
    grammar: "Grammar | None" = None

    async def ask(self, messages: Sequence[ChatMessage]) -> "Answering":
        """Begin to answer the last of these messages.

        Raises:
            LLMError: the request is refused.
        """
        await self.engine.load()
        tools = () if self.tool_choice == "none" else self.tools
        calls = await asyncio.to_thread(grammar_of_calls, self.tools, self.tool_choice)
        if calls is not None and self.grammar is not None:
            raise InvalidRequestError("an answer is a tool call or has a response_format, not both")
        grammar = calls or self.grammar
        fitted, prompt, tokens = await self._fitted(messages, tools)
        given = {"prompt_ids": prompt.ids} if prompt.ids else {"prompt": prompt.text}
        request = self.sampling.request(**given, stop=() if grammar else prompt.stop)
        constraint = await self._constraint(grammar, tokens)
        generation = await self.engine.submit(request, constraint)
        if grammar is not None:
            return Answering(generation, _verbatim(), fitted.dropped, grammar=grammar)
        loaded = loaded_tokenizer(self.engine)
        tokenizer = loaded.tokenizer if loaded else None
        has_template = getattr(tokenizer, "response_template", None) is not None
        return Answering(
            generation,
            parser_for(prompt, tools),
            fitted.dropped,
            reread=_reader(tokenizer, prompt, tools) if has_template else None,
        )

    async def ask_to_continue(self, prompt: str) -> "Answering":
        """Begin to continue a text, without template, tools or parsing.

        Raises:
            LLMError: the request is refused.
        """
        await self.engine.load()
        request = self.sampling.request(prompt=prompt)
        constraint = None
        if self.grammar is not None:
            loaded = loaded_tokenizer(self.engine)
            tokens = await asyncio.to_thread(_count_tokens, loaded, ChatPrompt(prompt))
            constraint = await self._constraint(self.grammar, tokens)
        generation = await self.engine.submit(request, constraint)
        return Answering(generation, _verbatim(), grammar=self.grammar)

    def choosing(self, tool_choice: str) -> "Dialogue":
        """The same with another `tool_choice`."""
        return replace(self, tool_choice=tool_choice)

    async def answer(
        self, messages: Sequence[ChatMessage], watch: Callable[[Part], None] | None = None
    ) -> Answer:
        """The whole answer; `watch` sees its parts while they come.

        Raises:
            LLMError: it is refused or fails.
        """
        return await (await self.ask(messages)).whole(watch)

    async def _fitted(
        self, messages: Sequence[ChatMessage], tools: Schemas
    ) -> tuple[Fitted, ChatPrompt, int]:
        """What fits, its prompt, and how many tokens that has."""
        loaded = loaded_tokenizer(self.engine)
        if loaded is None:
            return self._unfitted(messages, tools)
        window = self.engine.capabilities.context_window
        new_tokens = self.sampling.max_new_tokens
        if new_tokens is None:
            is_dropping = self.overflow == "drop_oldest"
            new_tokens = min(DEFAULT_MAX_NEW_TOKENS, window // 4) if is_dropping else 1
        counted: list[tuple[ChatPrompt, int]] = []

        def count(kept: Sequence[ChatMessage]) -> int:
            prompt = render_chat(kept, loaded.tokenizer, tools)
            counted.append((prompt, _count_tokens(loaded, prompt)))
            return counted[-1][1]

        def fit() -> tuple[Fitted, ChatPrompt, int]:
            fitted = fit_window(
                messages,
                count,
                context_window=window,
                new_tokens=new_tokens,
                policy=self.overflow,
            )
            if fitted.dropped:
                count(fitted.messages)
            return fitted, *counted[-1]

        return await asyncio.to_thread(fit)

    def _unfitted(
        self, messages: Sequence[ChatMessage], tools: Schemas
    ) -> tuple[Fitted, ChatPrompt, int]:
        """For a server, which alone knows how many tokens there are, and refuses too many."""
        if self.overflow != "refuse":
            raise InvalidRequestError(
                f"the backend {self.engine.capabilities.backend!r} cannot count tokens, so it "
                "cannot drop the oldest messages; use overflow 'refuse'"
            )
        return Fitted(tuple(messages)), render_chat(messages, tools=tools), 0

    async def _constraint(self, grammar: "Grammar | None", prompt_tokens: int) -> Constraint | None:
        if grammar is None:
            return None
        room = self.engine.capabilities.context_window - prompt_tokens
        limit = self.sampling.max_new_tokens or min(DEFAULT_MAX_NEW_TOKENS, room)
        return await constraint_for(grammar, self.engine, limit)


class Answering:
    """An answer on its way: iterate it for its parts; `answer` is there when it has ended.

    As an async context manager it is cancelled when the block is left.
    """

    def __init__(
        self,
        generation: Generation,
        parser: OutputParser,
        dropped: tuple[ChatMessage, ...] = (),
        *,
        grammar: "Grammar | None" = None,
        reread: Callable[[Finished], Parsed] | None = None,
    ) -> None:
        self._generation = generation
        self._parser = parser
        self._dropped = dropped
        self._grammar = grammar
        self._reread = reread
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
            if isinstance(event, EngineDelta):
                parts = self._parser.push(event.text)
            elif event.error is not None:
                raise event.error
            else:
                parts = self._parser.finish()
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
        value = None
        if self._grammar is not None:
            value = _value(self._grammar, finished)
            parsed = _of_value(parsed, value)
        elif self._reread is not None:
            parsed = self._reread(finished)
        usage = Usage.of(finished, getattr(self._generation, "counted", None))
        return Answer(parsed, finished.reason, usage, self._dropped, value)


def _verbatim() -> OutputParser:
    return OutputParser(formats=(), tags=())


def _value(grammar: "Grammar", finished: Finished) -> Any:
    from agents.llm.structured import ResultError  # noqa: PLC0415  needs llguidance

    try:
        return grammar.parse(finished.text)
    except ResultError:
        if finished.reason is FinishReason.STOP:
            raise
        return None  # it was ended before its time


def _of_value(parsed: Parsed, value: Any) -> Parsed:
    """A constrained call is a call, not a text."""
    from agents.llm.structured.tools import ToolCall as ConstrainedCall  # noqa: PLC0415  llguidance

    if not isinstance(value, ConstrainedCall):
        return parsed
    return Parsed(tool_calls=(ToolCall(value.name, value.arguments),))


def parser_for(prompt: ChatPrompt, tools: Schemas) -> OutputParser:
    """Reads the answer to a prompt; without tools, nothing is read as a call."""
    if not tools:
        return OutputParser(is_thinking=prompt.is_thinking, formats=())
    functions = [tool.get("function", tool) for tool in tools]
    parameters = {f["name"]: f.get("parameters") or {} for f in functions}
    return OutputParser(is_thinking=prompt.is_thinking, tools=parameters)


def _reader(tokenizer: Any, prompt: ChatPrompt, tools: Schemas) -> Callable[[Finished], Parsed]:
    """Reads an answer by the tokenizer's own template, which needs the special tokens."""

    def read(finished: Finished) -> Parsed:
        output = tokenizer.decode(list(finished.token_ids), skip_special_tokens=False)
        return parse_answer(output, prompt.text, tokenizer, tools)

    return read


def _count_tokens(loaded: LoadedTokenizer | None, prompt: ChatPrompt) -> int:
    if prompt.ids is not None:
        return len(prompt.ids)
    return 0 if loaded is None else len(loaded.encode(prompt.text))
