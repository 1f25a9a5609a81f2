"""Why a message was given up, as its dead letter keeps it."""

from pydantic import BaseModel, TypeAdapter

from messaging.backend import DeadLetter
from messaging.errors import WireError
from messaging.wire.message import decode


class Attempt(BaseModel):
    """How one handling of the message ended.

    Attributes:
        number: which start of a handler it was, from 1. 0 is no attempt but a requeue, whose text
            says by whom, and what was edited.
        at: unix seconds.
    """

    number: int
    error_type: str
    text: str
    at: float


HISTORY = TypeAdapter(tuple[Attempt, ...])


class Reason(BaseModel):
    """Why a message was given up.

    Attributes:
        error_type: class name of the last error; `text` and `traceback` belong to it.
        agent: the group that gave up.
        attempts: what went wrong each time, also before it was requeued, the last time included.
            An attempt that ended with its process is not among them: it could not say.
    """

    error_type: str
    text: str
    traceback: str
    agent: str
    attempts: tuple[Attempt, ...]


def reason_of(letter: DeadLetter) -> Reason:
    """Why `letter` died; a reason that cannot be read is no reason to hide the letter."""
    try:
        return decode(Reason, letter.reason)
    except WireError as error:
        text = f"why it died cannot be read: {error}"
        return Reason(
            error_type="WireError", text=text, traceback="", agent=letter.group, attempts=()
        )
