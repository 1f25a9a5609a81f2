"""The bus: typed messages on topics, delivered to groups of consumers, settled exactly once."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily
from messaging._origin import check_origin

check_origin(__name__)

if TYPE_CHECKING:
    from messaging.backend import DeadLetter, Incident
    from messaging.bus import Bus, connect
    from messaging.client.dead_letters import DeadLetterDropped, DeadLetters, Wanted
    from messaging.client.following import Followed
    from messaging.client.tap import Tapped
    from messaging.consuming.replica import Running
    from messaging.handling.context import Context, Requester
    from messaging.handling.failure_record import Reason, reason_of
    from messaging.handling.retry import RetryPolicy
    from messaging.handling.subscription import (
        Handler,
        Result,
        Routed,
        Subscription,
        SubscriptionOptions,
    )
    from messaging.observing import Ending, Handling, Observer, Observers
    from messaging.wire.envelope import Envelope, new_id
    from messaging.wire.message import Message, MessageRegistry
    from messaging.wire.replies import Cancelled, RequestFailed, UnknownMessage
    from messaging.wire.topic import DEFAULT_TOPIC

__all__ = [
    "DEFAULT_TOPIC",
    "Bus",
    "Cancelled",
    "Context",
    "DeadLetter",
    "DeadLetterDropped",
    "DeadLetters",
    "Ending",
    "Envelope",
    "Followed",
    "Handler",
    "Handling",
    "Incident",
    "Message",
    "MessageRegistry",
    "Observer",
    "Observers",
    "Reason",
    "RequestFailed",
    "Requester",
    "Result",
    "RetryPolicy",
    "Routed",
    "Running",
    "Subscription",
    "SubscriptionOptions",
    "Tapped",
    "UnknownMessage",
    "Wanted",
    "connect",
    "new_id",
    "reason_of",
]

__getattr__ = lazily(
    __name__,
    {
        "messaging.backend": ("DeadLetter", "Incident"),
        "messaging.bus": ("Bus", "connect"),
        "messaging.handling.context": ("Context", "Requester"),
        "messaging.handling.failure_record": ("Reason", "reason_of"),
        "messaging.client.dead_letters": (
            "DeadLetterDropped",
            "DeadLetters",
            "Wanted",
        ),
        "messaging.consuming.replica": ("Running",),
        "messaging.observing": ("Ending", "Handling", "Observer", "Observers"),
        "messaging.wire.envelope": ("Envelope", "new_id"),
        "messaging.wire.replies": ("Cancelled", "RequestFailed", "UnknownMessage"),
        "messaging.wire.message": ("Message", "MessageRegistry"),
        "messaging.handling.retry": ("RetryPolicy",),
        "messaging.handling.subscription": (
            "Handler",
            "Result",
            "Routed",
            "Subscription",
            "SubscriptionOptions",
        ),
        "messaging.client.following": ("Followed",),
        "messaging.client.tap": ("Tapped",),
        "messaging.wire.topic": ("DEFAULT_TOPIC",),
    },
)
