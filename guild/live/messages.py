"""What the processes of a guild tell while somebody watches."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, FiniteFloat

from messaging.observing import Outcome
from messaging.wire.message import Message


class Spread(BaseModel):
    """How seconds were distributed, of those handlings that were looked at; the percentiles are
    those of a sample of them.

    Attributes:
        count: how many that were. Where there are many, most of them are counted and no more.
    """

    model_config = ConfigDict(frozen=True)

    count: int
    sum_s: FiniteFloat
    max_s: FiniteFloat
    p50_s: FiniteFloat
    p95_s: FiniteFloat


class Activity(BaseModel):
    """What one agent made of messages of one type, in the time of one summary.

    Attributes:
        type: wire name; "" for all types beyond the most that one summary names.
        outcomes: how many handlings ended in each, see `messaging.observing.Outcome`.
        errors: how often a handling failed, by class name of the error.
        senders: how many of these messages each sent; "" for all senders beyond the most.
        waited_s: from when a message was made until its handler began; None where none did.
        handled_s: how long handlers took; None where none ran.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    type: str
    outcomes: Mapping[Outcome, int]
    errors: Mapping[str, int]
    senders: Mapping[str, int]
    waited_s: Spread | None
    handled_s: Spread | None


class LiveSummary(Message, wire_name="live.summary"):
    """What one process handled, at most once a second; not sent where nothing was.

    Attributes:
        process: which one; the same in all that it tells.
        at: unix seconds by its clock, at the end of the time that is summed up.
        period_s: how long that was.
        left_off: handlings of which no row is sent, as there were more than a process may send.
    """

    process: str
    at: FiniteFloat
    period_s: FiniteFloat
    activities: tuple[Activity, ...]
    left_off: int = 0


class LiveHandling(BaseModel):
    """One handling that has ended; not told of a message that the agent ignored.

    Attributes:
        id: of the message; `cause`, `conversation` and `trace` as in its envelope.
        attempt: as `Context.attempt` counts.
        outcome: what became of it, see `messaging.observing.Outcome`.
        error: class and text of what it failed with, "" if it did not.
        waited_s: from when the message was made until its handler began; None if that is not known.
        handled_s: how long the handler took; None where none ran.
        at: unix seconds by the clock of the process, when it ended.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    cause: str
    conversation: str
    topic: str
    type: str
    sender: str
    agent: str
    attempt: int
    outcome: Outcome
    error: str
    waited_s: FiniteFloat | None
    handled_s: FiniteFloat | None
    at: FiniteFloat
    trace: str


class LiveHandlings(Message, wire_name="live.handlings"):
    """Handlings of one process, in the order of their ends.

    Attributes:
        left_off: handlings since the message before of which no row is sent.
    """

    process: str
    rows: tuple[LiveHandling, ...]
    left_off: int = 0
