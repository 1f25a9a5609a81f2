"""Timers: messages to come that their agent may still call off or replace.

Until it is due a timer waits as a delayed message to its own agent alone, and the agent's state
says which message is the valid one. When it comes, whichever replica gets it sends it on to its
topic and clears the state in one commit; a timer that was called off or set anew meanwhile is
settled unseen. So it fires once, however many replicas there are and whenever they die.
"""

from collections.abc import Mapping
from datetime import MAXYEAR, UTC, datetime

from messaging.backend import ANY_VERSION, RESERVED_PREFIX, StateWrite
from messaging.errors import DelayError
from messaging.process.clock import Clock
from messaging.wire.envelope import Envelope
from messaging.wire.topic import retry_topic_of

MOST_NAME = 200
_KEYS = f"{RESERVED_PREFIX}timer."
_MARK = " "  # no topic holds one
_END = datetime.max.replace(tzinfo=UTC).timestamp()


def check_timer(name: str) -> str:
    """Return `name` if a timer may be called so; raises ValueError if not."""
    if not name or len(name) > MOST_NAME or not name.isprintable():
        raise ValueError(f"a timer's name is 1 to {MOST_NAME} printable characters, not {name!r}")
    return name


def timer_key(name: str) -> str:
    """Where the group's state says which message is the timer's."""
    return f"{_KEYS}{name}"


def is_timer_key(key: str) -> bool:
    """Whether a key of a group's state is that of a timer: one that is set, and not yet due."""
    return key.startswith(_KEYS)


def timer_writes(timers: Mapping[str, str]) -> tuple[StateWrite, ...]:
    """What makes these messages the valid ones of their timers, whichever was; "" calls one off.

    They expect no version: handlings that set one timer at a time do not run again for it.
    """
    return tuple(
        StateWrite(timer_key(name), message_id.encode() or None, ANY_VERSION)
        for name, message_id in timers.items()
    )


def arm(envelope: Envelope, name: str, group: str) -> Envelope:
    """`envelope` as it waits: for `group`, with its topic and the timer's name in `origin`."""
    return envelope._replace(topic=retry_topic_of(group), origin=f"{envelope.topic}{_MARK}{name}")


def is_timer(envelope: Envelope) -> bool:
    return _MARK in envelope.origin


def disarm(envelope: Envelope) -> tuple[Envelope, str]:
    """The message of a timer as it goes to its topic, and the timer's name."""
    topic, _, name = envelope.origin.partition(_MARK)
    return envelope._replace(topic=topic, origin="", delay_s=0.0), name


def delay_of(delay_s: float, at: datetime | None, clock: Clock) -> float:
    """Seconds to hold a message back; 0.0 when `at` has passed by `clock`.

    Raises:
        DelayError: both are given, `at` has no time zone, or the delay is negative, no number, or
            longer than there are years in `at`.
    """
    if at is None:
        if delay_s and not 0 <= delay_s <= _END - clock.time():
            raise DelayError(
                f"delay_s must be finite, not negative and over by the year {MAXYEAR}, "
                f"not {delay_s}"
            )
        return delay_s
    if delay_s:
        raise DelayError("give delay_s or at, not both")
    if at.tzinfo is None:
        raise DelayError(f"at needs a time zone: {at.isoformat()} could be any")
    return max(0.0, at.timestamp() - clock.time())
