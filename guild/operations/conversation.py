"""One conversation: its messages in order, and what each agent made of them."""

from datetime import datetime
from typing import Any, Literal

from guild.operations.view import View

StepState = Literal[
    "in hand or done", "waiting", "in hand", "handled", "retried", "failed", "cancelled", "other"
]


class StepHandling(View):
    """What one agent made of a message.

    Attributes:
        outcome: `waiting`, or the last that was seen, as `messaging.observing.Outcome` names it.
        attempts: how often a handler began; 0 where that is not known.
        waited_s: from when the message was made until the last attempt began.
        handled_s: how long that took.
        error: of the last attempt that failed, "" for none that is known.
        letter_id: id of the dead letter, "" if there is none.
    """

    agent: str
    outcome: str
    attempts: int = 0
    waited_s: float | None = None
    handled_s: float | None = None
    error: str = ""
    letter_id: str = ""


class ConversationStep(View):
    """One message of a conversation.

    Attributes:
        cause: id of the message that it follows from, "" for the first.
        state: `failed` if an agent gave it up; else what is most urgent of its handlings.
        data: as JSON; None where the topic does not hold it any more, or it cannot be decoded.
    """

    id: str
    cause: str
    type: str
    topic: str
    sender: str
    at: datetime | None
    state: StepState
    agents: tuple[StepHandling, ...] = ()
    trace: str = ""
    data: Any = None


class Conversation(View):
    """What is still known of a conversation.

    Attributes:
        steps: a cause before what follows from it, and otherwise in order of their making.
        failed_first: id of the first step that failed, "" if none did.
        is_whole: False where there was more to read than is read at once.
    """

    id: str
    steps: tuple[ConversationStep, ...]
    failed_first: str = ""
    is_whole: bool = True
