"""Messages that are published."""

from typing import Annotated

from pydantic import Field

from guild.gateway.endpoint import Call
from guild.gateway.reserved import check_may_be_sent
from guild.gateway.routes.shapes import Data, Given, MessageId, Tags, TypeName
from guild.operations.talking import Sent

IDEMPOTENCY = {
    "Idempotency-Key": "Any text. What is sent again with it within a day, by the same token, is "
    "the same message: it is stored, and handled, once."
}


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
    message = call.client.compose(body.type, body.data)
    check_may_be_sent(topic, message)
    with call.sending() as message_id:
        return await call.client.send_message(
            topic,
            message,
            priority=body.priority,
            delay_s=body.delay_s,
            tags=body.tags,
            conversation=body.conversation,
            message_id=message_id,
        )
