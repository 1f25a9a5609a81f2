"""Notices that a message was given up: where they go, and which agents pass them on.

The direct asker is told. A caller that waits further up the chain is told as well, unless an agent
between them takes over: one whose inbox is told and that handles the notice. An agent without such
a handler passes the notice on; only the process where it runs knows its handlers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import wire_type_of
from messaging.wire.replies import Cancelled, RequestFailed
from messaging.wire.topic import is_inbox, is_reply_topic

NOTICES = frozenset(wire_type_of(notice).name for notice in (RequestFailed, Cancelled))


class Told(NamedTuple):
    """Where a notice goes, which message it answers, and the caller that waits further up."""

    topic: str
    cause: str
    waiter: str = ""


def told_of(envelope: Envelope) -> Sequence[Told]:
    """Where it is told first that `envelope` was given up."""
    reply_to = envelope.reply_to
    if is_reply_topic(reply_to):
        return (Told(reply_to, envelope.id),)
    direct = (Told(reply_to, envelope.id, envelope.waiter),) if reply_to else ()
    if not envelope.waiter or is_inbox(reply_to):
        return direct
    return (*direct, *_beyond(envelope.waiter))


def passed_on(notice: Envelope) -> tuple[Envelope, ...]:
    """A notice that its inbox does not handle, as it goes on to a caller that waits further up."""
    if notice.type not in NOTICES:
        return ()
    return tuple(
        notice._replace(
            id=new_id(),
            topic=told.topic,
            cause=told.cause,
            conversation=notice.conversation_id,
            origin="",
            waiter="",
            attempt=1,
            delay_s=0.0,
        )
        for told in _beyond(notice.waiter)
    )


def _beyond(waiter: str) -> Sequence[Told]:
    topic, _, asked_id = waiter.partition(" ")
    # It comes from the wire, and must not lead to where agents listen.
    return (Told(topic, asked_id),) if is_reply_topic(topic) else ()
