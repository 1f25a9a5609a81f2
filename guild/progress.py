"""Progress of long work, for whoever watches: emitted, at most once, never stored."""

from typing import Annotated

from pydantic import Field

from messaging.wire.message import Message


class Progress(Message, wire_name="guild.progress"):
    """How far a piece of work has come.

    Attributes:
        task: what is being done; items of one conversation with the same task replace each other.
        done: how much of `total`, in the unit that the work counts in.
        total: None while nobody knows.
        text: the latest figure or finding, in a few words.
    """

    task: str = Field(min_length=1, max_length=200)
    done: float = Field(default=0.0, ge=0.0)
    total: float | None = Field(default=None, gt=0.0)
    text: str = Field(default="", max_length=2000)

    @property
    def is_over(self) -> bool:
        return self.total is not None and self.done >= self.total


class Measured(Message, wire_name="guild.measured"):
    """Figures that a piece of work has come to: each is the next point of a curve.

    Attributes:
        task: as its `Progress` calls it.
        step: where the work stands, in the unit that it counts in; it may go back, as after an
            interruption, and then what is told is the better truth.
        values: by the name of their curve.
    """

    task: str = Field(min_length=1, max_length=200)
    step: float = Field(ge=0.0)
    values: dict[Annotated[str, Field(max_length=100)], float] = Field(min_length=1, max_length=32)


class TextDelta(Message, wire_name="guild.text"):
    """The next piece of a text that is being written, tokens of a language model for one."""

    text: str
