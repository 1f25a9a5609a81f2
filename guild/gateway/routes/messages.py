"""Messages that are published; and what no caller may send, whatever its token is good for.

A decision is told by its desk, and made in the name of a token that may approve; what happens to a
guild is told by the guild.
"""

from typing import Annotated

from pydantic import BaseModel, Field

from guild.approvals import (
    ApprovalDecision,
    ApprovalRequest,
    DecideApproval,
    WithdrawApprovals,
)
from guild.client import GuildClient
from guild.gateway.callers import LOCAL, Caller, Scope
from guild.gateway.endpoint import Call
from guild.gateway.errors import ReservedError
from guild.gateway.routes.shapes import Data, Given, MessageId, Tags, TypeName
from guild.operations.talking import Sent
from messaging.wire.message import wire_type_of
from messaging.wire.topic import EVENTS_TOPIC

IDEMPOTENCY = {
    "Idempotency-Key": "Any text but an empty one. What is sent again with it within a day, by the "
    "same token, is the same message: it is stored, and handled, once."
}

_DECIDING = frozenset(
    wire_type_of(each).name for each in (DecideApproval, ApprovalDecision, WithdrawApprovals)
)
_ASKING = wire_type_of(ApprovalRequest).name


class Publishing(Given):
    """A message, and what may be said about it."""

    type: TypeName
    data: Data = Field(default_factory=dict)
    priority: Annotated[
        int, Field(ge=-128, le=127, description="The highest is handled first.")
    ] = 0
    delay_s: Annotated[float, Field(ge=0.0, description="Seconds to hold it back.")] = 0.0
    tags: Tags = ()
    conversation: MessageId = ""


async def publish_message(call: Call[Publishing, None]) -> Sent:
    body, topic = call.body, call.path["topic"]
    message = named(call.client.compose(body.type, body.data), call.caller)
    check_may_be_sent(topic, message)
    async with call.sending() as message_id:
        return await call.client.send_message(
            topic,
            message,
            priority=body.priority,
            delay_s=body.delay_s,
            tags=body.tags,
            conversation=body.conversation,
            message_id=message_id,
        )


def check_may_be_sent(topic: str, message: BaseModel) -> None:
    """Pass if a caller may send `message` to `topic`.

    Raises:
        ReservedError: it may not.
    """
    if topic == EVENTS_TOPIC:
        raise ReservedError(
            f"{topic} tells what happened to the guild: only the guild writes there"
        )
    _check_decides_nothing(wire_type_of(type(message)).name)


def named(message: BaseModel, caller: Caller) -> BaseModel:
    """`message`, which says who asked, where it asks for an approval.

    So a token that may publish and approve cannot decide what it has asked for. A caller that may
    not approve may ask in the name of a person. Without tokens all callers have one name: then
    nothing is told by it.

    Raises:
        ReservedError: it is to be approved by nobody: in a moment, if the caller wants that.
    """
    if not isinstance(message, ApprovalRequest) or caller is LOCAL:
        return message
    if message.default == "approve":
        raise ReservedError(
            f"{_ASKING} of a caller may not be approved by default: leave `default` at reject"
        )
    if message.asked_by and Scope.APPROVE not in caller.scopes:
        return message
    return message.model_copy(update={"asked_by": caller.name})


async def check_may_be_edited(client: GuildClient, letter_id: str) -> None:
    """Pass if a caller may say what is in the message of this dead letter.

    Raises:
        ReservedError: it may not.
        LetterNotFoundError: there is no such letter.
    """
    name = (await client.letter(letter_id)).type
    if name == _ASKING:
        raise ReservedError(f"{name} says who asked: requeue it as it is, or ask anew")
    _check_decides_nothing(name)


def _check_decides_nothing(name: str) -> None:
    if name in _DECIDING:
        raise ReservedError(
            f"{name} would decide in any name: POST /approvals/{{id}}/approve or /reject decides, "
            "in the name of the token"
        )
