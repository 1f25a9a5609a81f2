"""What a language model is asked to write, and what is done with its answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agents.llm.dialogue.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True)
class Form(Generic[T]):
    """One form that an answer may have.

    Attributes:
        wrote: what it is, in a word, such as "code".
        prompt: the question.
        accept: checks an answer and makes of it what is wanted. What it raises as
            `WorkRefusedError` or `WorkOverLimitError` is told to the model, which is asked again.
        structure: what keeps an answer in form while it is written: a JSON schema, or the text of a
            Lark grammar; None for free text.
    """

    wrote: str
    prompt: str
    accept: Callable[[str], Awaitable[T]]
    structure: Mapping[str, Any] | str | None = None


@dataclass(frozen=True)
class Task(Generic[T]):
    """One thing to be written.

    Attributes:
        what: such as "the model Net"; for errors and logs.
        forms: the first that the engine can be kept to is asked for.
        drawn_by: a seed, where one of many good answers is wanted: it is drawn as the model would
            say it. None asks as the properties say, by default for the likeliest.
    """

    what: str
    forms: Sequence[Form[T]]
    drawn_by: int | None = None


@dataclass(frozen=True)
class Written(Generic[T]):
    """What passed its checks.

    Attributes:
        value: what `accept` made of the answer.
        wrote: the form of the answer.
        attempts: how often the model was asked; 0 when an answer from before served.
        usage: what all its answers cost, those that did not pass too.
    """

    value: T
    wrote: str
    attempts: int
    usage: Usage

    @property
    def credits(self) -> dict[str, Any]:
        """Who wrote it, how and at what cost, as the messages of results have it."""
        return {
            "generated_by": "llm",
            "wrote": self.wrote,
            "attempts": self.attempts,
            "usage": self.usage,
        }
