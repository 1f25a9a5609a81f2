"""How an answer is read: into reasoning, text and calls, and into the value that was asked for."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.llm.chat import ChatPrompt
from agents.llm.engines import Finished, FinishReason
from agents.llm.engines.generation import CalledTool
from agents.llm.parsing import OutputParser, Parsed, Part, Problem, Text, ToolCall, parse_answer
from agents.llm.parsing.calls import call_of
from agents.llm.parsing.problems import BrokenCallError

if TYPE_CHECKING:
    from agents.llm.structured import Grammar, ResultError

Schemas = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Reading:
    """How an answer is read.

    Attributes:
        parser: makes a reader of its pieces.
        grammar: what its text must be.
        call: what each of its calls must be, of which there must be one.
        reread: reads the whole, where that says more than the pieces.
        server: the model, where only a server could make it keep to these.
        opening: what calls begin with, and nothing else; of a call that was cut no text is left.
    """

    parser: Callable[[], OutputParser]
    grammar: "Grammar | None" = None
    call: "Grammar | None" = None
    reread: Callable[[Finished], Parsed] | None = None
    server: str | None = None
    opening: str = ""

    def last_parts(self, parser: OutputParser, finished: Finished) -> list[Part]:
        """The parts that are certain at the end only; calls that a server told among them."""
        parts = parser.finish()
        if self.opening:
            parts = [cut for part in parts if (cut := self._without_call(part))]
        return [*parts, *map(_read_call, finished.calls)]

    def whole(self, parsed: Parsed, finished: Finished) -> tuple[Parsed, Any]:
        """The answer, and its value; None where it was ended before its time, or has none.

        Raises:
            ResultError: it is not what it must be.
        """
        if self.reread is not None:
            parsed = self.reread(finished)
        if not self._is_due(parsed, finished):
            return parsed, None
        from agents.llm.structured import ResultError  # noqa: PLC0415  needs llguidance

        try:
            self._check_calls(parsed)
            text = finished.text if self.server is None else parsed.text
            return parsed, self.grammar.parse(text) if self.grammar else None
        except ResultError as error:
            if self.server is None:
                raise
            raise _ignored(self.server, error) from error

    def _without_call(self, part: Part) -> Part | None:
        """None where nothing is left."""
        if not isinstance(part, Text):
            return part
        text = part.text.partition(self.opening)[0]
        return Text(text) if text else None

    def _is_due(self, parsed: Parsed, finished: Finished) -> bool:
        """Whether the answer is complete, or has already gone astray."""
        if finished.reason is FinishReason.STOP:
            return self.grammar is not None or self.call is not None
        is_prose = bool(parsed.text.strip()) and not parsed.tool_calls
        return finished.reason is FinishReason.LENGTH and is_prose and self._must_call_there

    @property
    def _must_call_there(self) -> bool:
        return self.server is not None and self.call is not None

    def _check_calls(self, parsed: Parsed) -> None:
        if self.call is None:
            return
        from agents.llm.structured import ResultError  # noqa: PLC0415  needs llguidance

        if not parsed.tool_calls:
            raise ResultError("it calls no tool", parsed.text)
        for call in parsed.tool_calls:
            written = {"name": call.name, "arguments": call.arguments}
            self.call.parse(json.dumps(written, ensure_ascii=False))


def verbatim() -> OutputParser:
    """Reads an answer that is text and nothing else."""
    return OutputParser(formats=(), tags=())


def parser_for(prompt: ChatPrompt, tools: Schemas) -> OutputParser:
    """Reads the answer to a prompt; without tools, nothing is read as a call."""
    return parser_of(tools, is_thinking=prompt.is_thinking)


def parser_of(tools: Schemas, *, is_thinking: bool = False, **options: Any) -> OutputParser:
    """Reads an answer that may call these tools."""
    if not tools:
        return OutputParser(is_thinking=is_thinking, **{"formats": (), **options})
    return OutputParser(is_thinking=is_thinking, tools=parameters_of(tools), **options)


def parameters_of(tools: Schemas) -> dict[str, Mapping[str, Any]]:
    """The schemas of the tools' arguments, by name."""
    functions = [tool.get("function", tool) for tool in tools]
    return {f["name"]: f.get("parameters") or {} for f in functions}


def rereader(tokenizer: Any, prompt: ChatPrompt, tools: Schemas) -> Callable[[Finished], Parsed]:
    """Reads an answer by the tokenizer's own template, which needs the special tokens."""

    def read(finished: Finished) -> Parsed:
        output = tokenizer.decode(list(finished.token_ids), skip_special_tokens=False)
        return parse_answer(output, prompt.text, tokenizer, tools)

    return read


def _read_call(call: CalledTool) -> ToolCall | Problem:
    try:
        return call_of({"id": call.id, "name": call.name, "arguments": call.arguments})
    except BrokenCallError as error:
        return Problem(f"a tool call cannot be read: {error}", is_call=True)


def _ignored(model: str, error: "ResultError") -> "ResultError":
    from agents.llm.structured import FormIgnoredError  # noqa: PLC0415  needs llguidance

    return FormIgnoredError(
        f"the server of {model} did not keep to the form that it was asked for: {error}; say in "
        "the engine's options (schemas, grammars) what it can enforce, or take another server",
        error.text,
    )
