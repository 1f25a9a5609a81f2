"""One answer inside a model."""

from dataclasses import dataclass
from typing import Any

from agents.llm.engines.sampling import Sampler


@dataclass(eq=False)
class Answer:
    """The tokens of a prompt and its answer, how far they have been read, and where that is kept.

    Attributes:
        ids: the prompt, then what was chosen or forced.
        read: how many of them the model has read; the next one is chosen when it has read all.
        row: its number in the pool, while it is there.
        cache: what has been read, while it is decoded alone.
        cached_tokens: how many of the prompt had been read for an earlier answer.
        has_ended: nobody waits for it any more.
    """

    ids: list[int]
    sampler: Sampler
    read: int = 0
    row: int | None = None
    cache: Any = None
    cached_tokens: int = 0
    has_ended: bool = False
    is_runnable: bool = True

    @property
    def unread(self) -> list[int]:
        return self.ids[self.read :]
