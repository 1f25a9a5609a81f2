"""One answer inside a model."""

from dataclasses import dataclass, field
from typing import Any

from agents.llm.engines.sampling import Sampler


@dataclass(eq=False)
class Answer:
    """The tokens of a prompt and its answer, how far they have been read, and where that is kept.

    Attributes:
        ids: the prompt, then what was chosen or forced.
        limit: how many there may be.
        read: how many of them the model has read; the next one is chosen when it has read all.
        row: its number in the pool, while it is there.
        cache: what has been read, while it is decoded alone.
        unsaid: forced tokens that were not handed out yet.
        is_cut: forced tokens were left out for want of room.
        cached_tokens: how many of the prompt had been read for an earlier answer.
        has_ended: it is no longer waited for.
    """

    ids: list[int]
    sampler: Sampler
    limit: int
    read: int = 0
    row: int | None = None
    cache: Any = None
    unsaid: list[int] = field(default_factory=list)
    is_cut: bool = False
    cached_tokens: int = 0
    has_ended: bool = False
    is_runnable: bool = True

    @property
    def unread(self) -> list[int]:
        return self.ids[self.read :]
