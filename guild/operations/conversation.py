"""One conversation: its messages in order, and what each agent made of them."""

from datetime import datetime
from typing import Any, Literal

from guild.operations.view import View

StepState = Literal[
    "failed",
    "retried",
    "waiting",
    "in hand",
    "cancelled",
    "handled",
    "settled",
    "answered",
    "unheard",
    "unknown",
]
"""failed: an agent gave it up.
retried: an attempt has failed, and another one follows.
waiting: an agent was not lent it yet.
in hand: an agent was lent it.
cancelled: a user cancelled it.
handled: agents have handled it, as they told while somebody watched.
settled: no agent is owed it any more; what became of it was not watched.
answered: it is the answer to the request that began the conversation, and waits for its caller.
unheard: no agent listens to its topic.
unknown: an agent has it in hand or has settled it; which of the two the topic does not tell.
"""


class StepHandling(View):
    """What one agent made of a message.

    Attributes:
        state: as `StepState`, or an outcome as `messaging.observing.Outcome` names it.
        attempts: how often a handler began, as far as that is known.
        waited_s: from when the message was made until the last attempt began.
        handled_s: how long that took.
        error: of the last attempt that failed, "" for none that is known.
        letter_id: id of the dead letter, "" if there is none.
    """

    agent: str
    state: str
    attempts: int = 0
    waited_s: float | None = None
    handled_s: float | None = None
    error: str = ""
    letter_id: str = ""


class ConversationStep(View):
    """One message of a conversation.

    Attributes:
        cause: id of the message that it follows from, "" for the first.
        type: wire name, "" where only its failure is still known.
        at: when it was made, as its id tells.
        state: the most urgent of what its agents made of it.
        data: as JSON; None where no topic holds it any more, where it cannot be decoded, or where
            that of all steps would be too much.
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
        failed_first: id of the first step that failed, or else of the first that is tried again;
            "" if there is none.
        is_whole: False where there was more to read than is read at once.
    """

    id: str
    steps: tuple[ConversationStep, ...]
    failed_first: str = ""
    is_whole: bool = True
