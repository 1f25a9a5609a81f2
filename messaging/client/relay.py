"""Messages to another guild, perhaps on another server: each stored there once.

What a handler sends to another guild leaves with its commit, as everything does, but only as far
as an outbox: a topic of its own guild that holds forwarded messages. A relay takes each to the
other guild, under the id that the message got when it was sent, and settles it afterwards. Killed
in between, it delivers the message again, and the other guild knows the id. It knows it for a day:
a message that was delivered and could not be settled for longer than that may arrive twice.

A guild that is away is tried again, up to 250 times within about two days. Then, or when it
refuses the message, the forwarded message becomes a dead letter of the relay. The order of messages
to another guild is not promised.
"""

import asyncio

from pydantic import BaseModel

from messaging.backend import Backend
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Handler, Subscription, SubscriptionOptions
from messaging.wire.envelope import Envelope
from messaging.wire.forwarded import ForwardedMessage, outbox_of

PATIENCE = RetryPolicy(attempts=250, backoff_s=0.2, max_backoff_s=900.0)
DEFAULT_LEASE_S = SubscriptionOptions().lease_s


class Relay:
    """Carries the forwarded messages of one guild to one other.

    Args:
        guild: the one that the messages are for.
        there: a backend of that guild, not open; it is opened when there is something to bring.
    """

    def __init__(self, guild: str, there: Backend) -> None:
        self.guild = guild
        self._there = there
        self._is_open = False
        self._opening = asyncio.Lock()

    async def forward(self, forwarded: ForwardedMessage, ctx: Context) -> None:
        """Bring one message to its guild.

        Raises:
            BackendUnavailableError: the guild's server is away.
            BackendSetupError: it refuses us, or the bus cannot work with such a server.
            BusFullError: the topic there is at its limit.
            PayloadTooLargeError: past the limit there.
        """
        async with self._opening:
            if not self._is_open:
                await self._there.open()
                self._is_open = True
        await self._there.append_once(_unpack(forwarded, ctx.envelope))

    async def close(self) -> None:
        await self._there.close()


def relay_subscription(
    guild: str, relay: Relay | None = None, *, lease_s: float = DEFAULT_LEASE_S
) -> Subscription:
    """The group that owns the messages for `guild`; without `relay` it has no handler."""
    outbox = outbox_of(guild)
    handlers: dict[type[BaseModel], Handler] = {}
    if relay is not None:
        handlers[ForwardedMessage] = relay.forward
    options = SubscriptionOptions(retry=PATIENCE, lease_s=lease_s)
    return Subscription(outbox, (outbox,), handlers, options)


def _unpack(forwarded: ForwardedMessage, around: Envelope) -> Envelope:
    return Envelope(
        id=around.id,
        type=forwarded.type,
        version=forwarded.version,
        topic=forwarded.topic,
        payload=forwarded.payload.encode(),
        sender=forwarded.sender,
        cause=around.cause,
        conversation=around.conversation,
        reply_to=forwarded.reply_to,
        key=forwarded.key,
        tags=forwarded.tags,
        trace=around.trace,
        deadline=around.deadline,
        hops=around.hops,
        priority=around.priority,
    )
