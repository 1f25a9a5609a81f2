"""Server-sent events, as the HTML standard writes them down."""

import json
from typing import Any, NamedTuple

from pydantic import BaseModel

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy hands each event on at once
}
QUIET = b": quiet\n\n"


class Event(NamedTuple):
    """One event.

    Attributes:
        data: JSON on one line.
        id: what a reader that comes back sends as Last-Event-ID; "" leaves the last one in force.
    """

    name: str
    data: str
    id: str = ""

    def encoded(self) -> bytes:
        line = f"id: {self.id}\n" if self.id else ""
        return f"{line}event: {self.name}\ndata: {self.data}\n\n".encode(errors="replace")


def event(name: str, data: BaseModel | Any, position: str = "") -> Event:
    """An event of a model, or of anything that JSON can say."""
    if isinstance(data, BaseModel):
        return Event(name, data.model_dump_json(), position)
    return Event(name, json.dumps(data, ensure_ascii=False, separators=(",", ":")), position)
