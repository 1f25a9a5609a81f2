"""What a requester gets instead of an answer, and what a reader gets instead of a known type."""

from typing import Any

from pydantic import Field

from messaging.wire.message import Message


class RequestFailed(Message, wire_name="bus.request_failed"):
    """A message was given up; it lies in the dead letters, unless its agent says otherwise.

    The agent that sent it is told, and so is a caller that waits for an answer which depends on it:
    unless that agent handles `RequestFailed`, and so has taken over what is to be done.

    Attributes:
        message_id: the message; `dead_letters.show` finds it by this id too. "" where it is no dead
            letter, as where a person has refused what was asked for.
        error_type: class name of the last error.
        text: what it said.
        agent: the group that gave up.
        attempts: how often a handler started on it.
    """

    message_id: str
    error_type: str
    text: str
    agent: str
    attempts: int


class Cancelled(Message, wire_name="bus.cancelled"):
    """A message was cancelled before it was answered; told like `RequestFailed`."""

    message_id: str
    reason: str = ""


class UnknownMessage(Message, wire_name="bus.unknown"):
    """A message of a type that this side has no class for, as the JSON it came as."""

    type: str
    version: int
    data: dict[str, Any] = Field(default_factory=dict)
