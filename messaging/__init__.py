"""The bus: typed messages on topics, delivered to groups of consumers, settled exactly once."""

from messaging._origin import check_origin

check_origin(__name__, __file__)

# The check comes first: it explains what a stranger's files in our place would break below.
# `connect` is a module here and a function for users; the function is bound last and wins.
from messaging.backend import DeadLetter, Incident  # noqa: E402
from messaging.bus import Bus, connect  # noqa: E402
from messaging.context import Context, Requester  # noqa: E402
from messaging.dead_letters import DeadLetters, Reason, reason_of  # noqa: E402
from messaging.dispatcher import Running  # noqa: E402
from messaging.envelope import Envelope, new_id  # noqa: E402
from messaging.failure import Cancelled, RequestFailed, UnknownMessage  # noqa: E402
from messaging.message import Message, MessageRegistry  # noqa: E402
from messaging.retry import RetryPolicy  # noqa: E402
from messaging.subscription import (  # noqa: E402
    Handler,
    Result,
    Routed,
    Subscription,
    SubscriptionOptions,
)
from messaging.tap import Tapped  # noqa: E402
from messaging.topic import DEFAULT_TOPIC  # noqa: E402

__all__ = [
    "DEFAULT_TOPIC",
    "Bus",
    "Cancelled",
    "Context",
    "DeadLetter",
    "DeadLetters",
    "Envelope",
    "Handler",
    "Incident",
    "Message",
    "MessageRegistry",
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
    "connect",
    "new_id",
    "reason_of",
]
