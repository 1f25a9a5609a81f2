"""A message to another guild, packed into one of this guild; see `relay`."""

from messaging.wire.envelope import Envelope, payload_of, seal
from messaging.wire.message import Message
from messaging.wire.topic import check_topic

_OUTBOX = "outbox."


class ForwardedMessage(Message, wire_name="bus.parcel"):
    """A message for `topic` of another guild. Its id, cause and deadline are the envelope's."""

    guild: str
    topic: str
    type: str
    version: int
    payload: str
    sender: str = ""
    reply_to: str = ""
    key: str = ""
    tags: str = ""


def outbox_of(guild: str) -> str:
    """The topic that holds forwarded messages for `guild`, and the group that brings them there.

    Raises:
        TopicError: `guild` is not the id of one.
    """
    return check_topic(f"{_OUTBOX}{guild}")


def is_outbox(group: str) -> bool:
    """Whether this is the group of a relay, and not one of an agent."""
    return group.startswith(_OUTBOX)


def pack_forwarded(guild: str, envelope: Envelope, *, sender: str) -> Envelope:
    """`envelope`, whose topic is one of `guild`, as a forwarded message in the outbox for it."""
    forwarded = ForwardedMessage(
        guild=guild,
        topic=envelope.topic,
        type=envelope.type,
        version=envelope.version,
        payload=payload_of(envelope).decode(),
        sender=sender,
        reply_to=envelope.reply_to,
        key=envelope.key,
        tags=envelope.tags,
    )
    return seal(
        forwarded,
        outbox_of(guild),
        by_reference=False,
        id=envelope.id,
        sender=envelope.sender,
        cause=envelope.cause,
        conversation=envelope.conversation,
        trace=envelope.trace,
        waiter=envelope.waiter,  # told when it cannot be brought; it does not cross the border
        deadline=envelope.deadline,
        delay_s=envelope.delay_s,
        hops=envelope.hops,
        priority=envelope.priority,
    )
