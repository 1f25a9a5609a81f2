"""One conversation, with what became of each of its messages."""

from guild.gateway.endpoint import Call
from guild.operations.conversation import Conversation


async def show_conversation(call: Call[None, None]) -> Conversation:
    return await call.unless_gone(call.client.conversation(call.path["id"]))
