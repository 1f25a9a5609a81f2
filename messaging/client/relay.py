"""Messages to another guild, perhaps on another server: each stored there once.

What a handler sends to another guild leaves with its commit, as everything does, but only as far
as an outbox: a topic of its own guild that holds parcels. A relay takes each parcel to the other
guild, under the id that the message got when it was sent, and settles it afterwards. Killed in
between, it delivers the parcel again, and the other guild knows the id. It knows it for a day:
a parcel that was delivered and could not be settled for longer than that may arrive twice.

A guild that is away is tried again, up to 250 times within about two days. Then, or when it
refuses the message, the parcel becomes a dead letter of the relay. The order of messages to
another guild is not promised.
"""

import asyncio

from pydantic import BaseModel

from messaging.backend import Backend
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Handler, Subscription, SubscriptionOptions
from messaging.wire.envelope import Envelope
from messaging.wire.parcels import Parcel, outbox_of

PATIENCE = RetryPolicy(attempts=250, backoff_s=0.2, max_backoff_s=900.0)
DEFAULT_LEASE_S = SubscriptionOptions().lease_s


class Relay:
    """Carries the parcels of one guild to one other.

    Args:
        guild: whom the parcels are for.
        there: a backend of that guild, not open; it is opened when there is something to bring.
    """

    def __init__(self, guild: str, there: Backend) -> None:
        self.guild = guild
        self._there = there
        self._is_open = False
        self._opening = asyncio.Lock()

    async def forward(self, parcel: Parcel, ctx: Context) -> None:
        """Bring one parcel to its guild.

        Raises:
            BackendUnavailableError: the guild's server is away.
            BackendSetupError: it refuses us, or is none that the bus can work with.
            BusFullError: the topic there is at its limit.
            PayloadTooLargeError: past the limit there.
        """
        async with self._opening:
            if not self._is_open:
                await self._there.open()
                self._is_open = True
        await self._there.append_once(_unpack(parcel, ctx.envelope))

    async def close(self) -> None:
        await self._there.close()


def relay_subscription(
    guild: str, relay: Relay | None = None, *, lease_s: float = DEFAULT_LEASE_S
) -> Subscription:
    """The group that owns the parcels for `guild`; without a handler as long as nobody relays."""
    outbox = outbox_of(guild)
    handlers: dict[type[BaseModel], Handler] = {}
    if relay is not None:
        handlers[Parcel] = relay.forward
    options = SubscriptionOptions(retry=PATIENCE, lease_s=lease_s)
    return Subscription(outbox, (outbox,), handlers, options)


def _unpack(parcel: Parcel, around: Envelope) -> Envelope:
    return Envelope(
        id=around.id,
        type=parcel.type,
        version=parcel.version,
        topic=parcel.topic,
        payload=parcel.payload.encode(),
        sender=parcel.sender,
        cause=around.cause,
        conversation=around.conversation,
        reply_to=parcel.reply_to,
        key=parcel.key,
        tags=parcel.tags,
        trace=around.trace,
        deadline=around.deadline,
        hops=around.hops,
        priority=around.priority,
    )
