"""What a bus must be able to do to take part in a benchmark."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict


class Note(BaseModel):
    """The message everybody carries: about 200 bytes of JSON."""

    model_config = ConfigDict(frozen=True)

    number: int
    author: str = "somebody"
    text: str = "The quick brown fox jumps over the lazy dog, and again, and again. " * 2


class Contestant(Protocol):
    """One bus, open between `open` and `close`, with a consumer running."""

    name: str

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        """Publish each note with an await of its own from `publishers` tasks, and return when the
        consumer has handled all of them."""
        ...

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        """Hand all notes over at once and return when the server has acknowledged them."""
        ...

    async def request(self, note: Note) -> Note:
        """Ask the consumer and return its answer."""
        ...
