"""What the shipped specs need to show something: two small agents, and a tool for a model."""

import operator
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from pydantic import Field

from guild.agent.agent import Agent, BaseAgentProps, handles
from messaging.wire.message import Message

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


class Greet(Message, wire_name="hello.greet"):
    """Ask for a greeting."""

    name: str = Field(min_length=1, max_length=200)


class Greeting(Message, wire_name="hello.greeting"):
    """What is said to `name`."""

    name: str
    text: str


class CountWords(Message, wire_name="hello.count_words"):
    """Ask how often each word stands in a text."""

    text: str


class WordsCounted(Message, wire_name="hello.words_counted"):
    """Words in lower case with how often they stand there.

    Attributes:
        total: words in all.
        counts: the most frequent first, equally frequent ones in order of appearance.
    """

    total: int
    counts: dict[str, int]


class GreeterProps(BaseAgentProps):
    """`greeting`: what is said, with `{name}` where the name belongs."""

    greeting: str = Field(default="Hello, {name}!", pattern=r"\{name\}")


class Greeter(Agent[GreeterProps]):
    """Greets whoever is named."""

    @handles
    async def greet(self, request: Greet) -> Greeting:
        text = self.properties.greeting.replace("{name}", request.name)
        return Greeting(name=request.name, text=text)


class WordCounterProps(BaseAgentProps):
    """`top`: how many different words are told, the most frequent ones."""

    top: int = Field(default=10, ge=1, le=10_000)


class WordCounter(Agent[WordCounterProps]):
    """Counts words; in a worker thread, because texts may be long."""

    @handles
    def count(self, request: CountWords) -> WordsCounted:
        counts = Counter(word.casefold() for word in _WORD.findall(request.text))
        return WordsCounted(
            total=counts.total(), counts=dict(counts.most_common(self.properties.top))
        )


Operand = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "plus": operator.add,
    "minus": operator.sub,
    "times": operator.mul,
}


def calculate(left: Operand, operation: Literal["plus", "minus", "times"], right: Operand) -> int:
    """Calculate with two whole numbers."""
    return _OPERATIONS[operation](left, right)


@asynccontextmanager
async def tools() -> AsyncIterator[list[Callable[..., object]]]:
    """`hello.tools`: what the model of `specs/stateful.yaml` may call."""
    yield [calculate]
