"""Log lines from inside a handler name the message in hand, at the price of one assignment.

Binding the values for each message anew took 3 µs of it, logging or not. So each worker binds
names that look the value up when a line is written; a task or thread that the handler starts
keeps the message it was started for.
"""

from collections.abc import Callable
from contextvars import ContextVar

import structlog

from messaging.backend import Delivery
from messaging.handling.starts import attempt_of

in_hand: ContextVar[Delivery | None] = ContextVar("messaging_in_hand", default=None)


class _Name:
    """Reads as the text or number it stands for at this moment."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[Delivery], str | int]) -> None:
        self._read = read

    def __structlog__(self) -> str | int | None:
        """What JSON lines show."""
        delivery = in_hand.get()
        return None if delivery is None else self._read(delivery)

    def __repr__(self) -> str:
        return str(self.__structlog__())

    def __eq__(self, other: object) -> bool:
        return bool(self.__structlog__() == other)

    def __hash__(self) -> int:
        return hash(self.__structlog__())


_MESSAGE_ID = _Name(lambda delivery: delivery.envelope.id)
_CONVERSATION = _Name(lambda delivery: delivery.envelope.conversation_id)
_ATTEMPT = _Name(attempt_of)


def name_in_logs(guild_id: str, group: str) -> None:
    """Have each line of this task name guild and agent, and the message that is `in_hand`."""
    structlog.contextvars.bind_contextvars(
        guild=guild_id,
        agent=group,
        message_id=_MESSAGE_ID,
        conversation=_CONVERSATION,
        attempt=_ATTEMPT,
    )
