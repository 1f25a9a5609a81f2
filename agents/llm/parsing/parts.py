"""What a model's output consists of."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Thinking:
    """A piece of the reasoning before the answer."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A complete call. `id` is what the model gave it, mostly nothing."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True)
class Problem:
    """Something could not be read as it was meant; its characters are among the text.

    Attributes:
        message: what is wrong, for the model or the user.
        is_call: whether a tool call was meant.
    """

    message: str
    is_call: bool = False


@dataclass(frozen=True)
class Reclassified:
    """All parts so far were reasoning: its end came, and its beginning stood in the prompt.

    Calls that were given before it are void. Who knows that the prompt ends in an open tag tells
    the parser, and gets this only from a model that ends its reasoning before it begins.
    """


Part = Text | Thinking | ToolCall | Problem | Reclassified


@dataclass(frozen=True)
class Parsed:
    """A whole output."""

    thinking: str = ""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    problems: tuple[Problem, ...] = ()


def merged(parts: Iterable[Part]) -> list[Part]:
    """The same parts, with neighbouring pieces of text or of reasoning put together."""
    whole: list[Part] = []
    for kind, group in groupby(parts, type):
        if kind is Text:
            whole.append(Text("".join(part.text for part in group if isinstance(part, Text))))
        elif kind is Thinking:
            pieces = (part.text for part in group if isinstance(part, Thinking))
            whole.append(Thinking("".join(pieces)))
        else:
            whole += group
    return whole


class Collector:
    """Puts parts together."""

    def __init__(self) -> None:
        self._thinking: list[str] = []
        self._text: list[str] = []
        self._calls: list[ToolCall] = []
        self._problems: list[Problem] = []

    def add(self, part: Part) -> None:
        match part:
            case Text():
                self._text.append(part.text)
            case Thinking():
                self._thinking.append(part.text)
            case ToolCall():
                self._calls.append(part)
            case Problem():
                self._problems.append(part)
            case Reclassified():
                self._thinking = ["".join(self._text).strip()]
                self._text, self._calls, self._problems = [], [], []

    @property
    def parsed(self) -> Parsed:
        """All that was added."""
        return Parsed(
            thinking="".join(self._thinking),
            text="".join(self._text),
            tool_calls=tuple(self._calls),
            problems=tuple(self._problems),
        )


def collect(parts: Iterable[Part]) -> Parsed:
    """The whole of these parts."""
    collector = Collector()
    for part in parts:
        collector.add(part)
    return collector.parsed
