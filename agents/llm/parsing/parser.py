"""A model's output, piece by piece: reasoning, answer and tool calls."""

import contextlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable
from typing import Any

from agents.llm.parsing.fences import MIN_FENCE, TICKS, read_closing, read_info, read_ticks
from agents.llm.parsing.formats import FORMATS
from agents.llm.parsing.joined import Joined
from agents.llm.parsing.parts import (
    Parsed,
    Part,
    Problem,
    Reclassified,
    Text,
    Thinking,
    ToolCall,
    collect,
    merged,
)
from agents.llm.parsing.problems import BrokenCallError, IsDataError, NotACallError
from agents.llm.parsing.reasoning import ReasoningReader
from agents.llm.parsing.source import DEFAULT_MAX_HELD_CHARS, Reading, Source
from agents.llm.parsing.tags import REASONING, Tag
from agents.llm.parsing.tool_format import ToolFormat, Tools
from agents.llm.parsing.values import SPACE, read_members

_IN_CODE = {tick: re.compile(f"[^{tick}]+") for tick in TICKS}
# A block in one of these languages may hold calls; in another one they are an example.
_CALL_FENCES = frozenset({"", "json", "tool_call", "tool_calls", "tool_code", "text", "xml"})


class OutputParser:
    """Turns pieces of a model's output into parts, each as early as is safe.

    However the output is cut, the parts together are the same. No output makes it raise: what
    cannot be read stays text, and a `Problem` tells of it. Work is linear in the output, and no
    more than `max_held` characters are held back. Tags and calls in quotes or in code are text,
    except that a fence around nothing but calls is left out. In reasoning there are no calls.

    Args:
        is_thinking: whether the prompt ends in an open tag; see `opens_reasoning`.
        tools: the tools the model knows, with the schemas of their parameters if possible. An
            object that stands alone, `{"name": ..., "arguments": ...}`, is a call only if its
            tool is among them.
        formats: the notations of tool calls to look for.
        tags: names of the tags around reasoning.
        has_code: whether there is code, in which tags and calls are text.
    """

    def __init__(
        self,
        *,
        is_thinking: bool = False,
        tools: Tools = None,
        formats: Iterable[ToolFormat] = tuple(FORMATS.values()),
        tags: Collection[str] = REASONING,
        has_code: bool = True,
        max_held: int = DEFAULT_MAX_HELD_CHARS,
    ) -> None:
        self._tools = tools
        self._formats = {f.opening: f for f in sorted(formats, key=lambda f: -len(f.opening))}
        self._openings = tuple(self._formats)
        self._ticks = TICKS if has_code else ""
        firsts = {opening[0] for opening in self._formats} | set("<" + self._ticks)
        self._plain = re.compile(f"[^{re.escape(''.join(sorted(firsts)))}]+")
        self._source = Source(max_held)
        self._parts: list[Part] = []
        self._text = Joined(self._give_text)
        self._thinking = Joined(self._give_thinking, joint="\n\n")
        self._reasoning = ReasoningReader(self._source, tags, self._thinking, self._tell)
        self._span = 0  # backticks around the inline code that is being read
        self._is_line_blank = True
        self._reading = self._read(is_thinking=is_thinking)
        next(self._reading)

    def push(self, piece: str) -> list[Part]:
        """Take the next piece; the parts that it makes certain."""
        if piece:
            self._source.feed(piece)
            next(self._reading)
        return self._taken()

    def finish(self) -> list[Part]:
        """The parts that were still held back. Nothing may be pushed afterwards."""
        self._source.end()
        next(self._reading, None)
        return self._taken()

    def _taken(self) -> list[Part]:
        parts, self._parts = merged(self._parts), []
        return parts

    def _give_text(self, text: str) -> None:
        self._parts.append(Text(text))

    def _tell(self, problem: Problem) -> None:
        self._parts.append(problem)

    def _give_thinking(self, text: str) -> None:
        self._parts.append(Thinking(text))

    def _read(self, *, is_thinking: bool) -> Reading[None]:
        if is_thinking:
            self._text.cut()
            yield from self._reasoning.read()
        while char := (yield from self._source.peek()):
            if char == "<" and (yield from self._read_tag()):
                continue
            if char in self._ticks:
                yield from self._read_ticks(char)
            elif self._span or not (yield from self._read_call()):
                self._add(self._source.run(self._plain) or self._source.take(1))
        self._text.finish()

    def _add(self, text: str) -> None:
        _, newline, line = text.rpartition("\n")
        if newline:
            self._span, self._is_line_blank = 0, True
        self._is_line_blank = self._is_line_blank and not line.strip()
        self._text.add(text)

    # Calls

    def _read_call(self) -> Reading[bool]:
        """Read what begins like a call, as calls or else as text; False where nothing does."""
        call_format = yield from self._next_format()
        if call_format is None:
            return False
        self._source.hold()
        try:
            calls = yield from call_format.read(self._source, self._tools)
        except (BrokenCallError, NotACallError) as error:
            text = self._source.release()
            self._add(text)
            self._tell_of(error)
            if isinstance(error, IsDataError):
                yield from self._read_data()
            return bool(text)
        self._source.release()
        self._give_calls(calls)
        return True

    def _read_data(self) -> Reading[None]:
        """Read the rest of an object as text: what is in it is quoted."""
        self._source.hold()  # not for its text, but for its limit
        self._source.pass_on(self._add)
        with contextlib.suppress(BrokenCallError):
            yield from read_members(self._source)
        self._source.pass_on(None)
        self._source.release()

    def _next_format(self) -> Reading[ToolFormat | None]:
        opening = yield from self._source.next_of(self._openings)
        return self._formats.get(opening)

    def _give_calls(self, calls: list[ToolCall]) -> None:
        self._text.cut()
        self._parts += calls

    def _tell_of(self, error: Exception) -> None:
        if isinstance(error, BrokenCallError):
            self._parts.append(Problem(f"a tool call cannot be read: {error}", is_call=True))

    # Reasoning

    def _read_tag(self) -> Reading[bool]:
        """Read a tag of reasoning and what it opens; False where none comes."""
        tag = None if self._span else (yield from self._reasoning.next_tag())
        if tag is None:
            return False
        if tag.is_closing:
            return self._end_unopened(tag)
        self._source.take(tag.chars)
        self._text.cut()
        if not tag.is_empty:
            yield from self._reasoning.read(tag.name)
        return True

    def _end_unopened(self, tag: Tag) -> bool:
        if self._thinking.has_text:
            self._parts.append(Problem(f"</{tag.name}> ends reasoning that never began"))
            return False
        self._source.take(tag.chars)
        self._parts.append(Reclassified())
        self._thinking.has_text = self._text.has_text
        self._text.forget()
        self._is_line_blank = True
        return True

    # Code

    def _read_ticks(self, tick: str) -> Reading[None]:
        """Read the beginning of a block of code and the block, or of inline code, or its end."""
        can_be_fence = self._is_line_blank
        ticks = yield from read_ticks(self._source, tick)
        if can_be_fence and len(ticks) >= MIN_FENCE:
            yield from self._read_block(ticks)
            return
        self._add(ticks)
        if tick == "`":
            self._span = 0 if self._span == len(ticks) else self._span or len(ticks)

    def _read_block(self, fence: str) -> Reading[None]:
        """Read a block of code; if it holds nothing but calls, these."""
        calls: list[ToolCall] = []
        is_closed = False
        error = None
        self._source.hold()
        try:
            info = yield from read_info(self._source, fence[0])
            if (yield from self._source.peek()) == "`":
                self._span = len(fence)  # it was inline code
            elif info in _CALL_FENCES:
                is_closed = yield from self._read_calls(fence, calls)
        except (BrokenCallError, NotACallError) as raised:
            error = raised
        text = self._source.release()
        if is_closed and calls:
            self._give_calls(calls)
            return
        self._text.add(fence + text)
        self._is_line_blank = not text.rpartition("\n")[2].strip() and "\n" in text
        if error:
            self._tell_of(error)
        if not is_closed and not self._span:
            yield from self._read_code(fence)

    def _read_calls(self, fence: str, calls: list[ToolCall]) -> Reading[bool]:
        """Read the calls of a block; False as soon as anything but its end follows them."""
        while True:
            yield from self._source.span(SPACE)
            if (yield from read_closing(self._source, fence)):
                return True
            call_format = yield from self._next_format()
            if call_format is None:
                return False
            calls += yield from call_format.read(self._source, self._tools)

    def _read_code(self, fence: str) -> Reading[None]:
        """Read the rest of a block of code as text."""
        source = self._source
        while char := (yield from source.peek()):
            if char != fence[0] or not self._is_line_blank:
                self._add(source.run(_IN_CODE[fence[0]]) or source.take(1))
                continue
            source.hold()
            try:
                is_closing = yield from read_closing(source, fence)
            except BrokenCallError:
                is_closing = False
            self._add(source.release())
            if is_closing:
                return


def parse(text: str, **options: Any) -> Parsed:
    """Parse a whole output; options as for `OutputParser`."""
    parser = OutputParser(**options)
    return collect([*parser.push(text), *parser.finish()])


async def parse_stream(pieces: AsyncIterable[str], parser: OutputParser) -> AsyncIterator[Part]:
    """The parts of an output while it comes."""
    async for piece in pieces:
        for part in parser.push(piece):
            yield part
    for part in parser.finish():
        yield part
