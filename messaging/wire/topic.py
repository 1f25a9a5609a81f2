"""Topics `a.b.c` and patterns over them: `a.*` one segment, `a.>` one or more.

Names that start with `_` belong to the bus: `_reply.<client>`, `_emit.<conversation>`, `_control`
and `_live` are ephemeral (bounded, expiring, without groups); `_retry.<group>` and
`_partition.<group>.<number>` are private: they reach one group.
"""

import re

from messaging.errors import TopicError

DEFAULT_TOPIC = "default_topic"
EVENTS_TOPIC = "guild.events"
CONTROL_TOPIC = "_control"
LIVE_TOPIC = "_live"
MAX_LENGTH = 200
MOST_PARTITIONS = 256

_RETRY = "_retry."
_REPLY = "_reply."
_INBOX = "inbox."
_PARTITION = "_partition."
_SEGMENT = re.compile(r"[A-Za-z0-9_\-]+")


def inbox_of(agent_id: str) -> str:
    """The topic on which `agent_id` receives the answers to what it sent."""
    return f"{_INBOX}{agent_id}"


def is_inbox(topic: str) -> bool:
    return topic.startswith(_INBOX)


def retry_topic_of(group: str) -> str:
    """The topic that brings retries and requeued dead letters to `group` alone."""
    return f"{_RETRY}{group}"


def partition_topic_of(group: str, number: int) -> str:
    """The topic of one partition of `group`, where it keeps order by key and splits the work."""
    return f"{_PARTITION}{group}.{number}"


def partition_of(topic: str) -> tuple[str, int] | None:
    """The group and the number of the partition whose topic this is; None for any other topic."""
    group, _, number = topic.removeprefix(_PARTITION).rpartition(".")
    return (group, int(number)) if is_partition(topic) and number.isdecimal() else None


def is_partition(topic: str) -> bool:
    return topic.startswith(_PARTITION)


def owner_of(topic: str) -> str:
    """The one group that a private topic reaches; "" for all other topics."""
    if topic.startswith(_RETRY):
        return topic.removeprefix(_RETRY)
    partition = partition_of(topic)
    return partition[0] if partition else ""


def reply_topic_of(client_id: str) -> str:
    """The ephemeral topic on which a client waits for answers."""
    return f"{_REPLY}{client_id}"


def is_reply_topic(topic: str) -> bool:
    """Whether a caller waits there at this moment, and not an agent or anybody later."""
    return topic.startswith(_REPLY)


def emit_topic_of(conversation_id: str) -> str:
    """The ephemeral topic of the tokens and progress of one conversation."""
    return f"_emit.{conversation_id}"


def is_pattern(name: str) -> bool:
    return "*" in name or name.endswith(">")


def is_ephemeral(topic: str) -> bool:
    return topic in (CONTROL_TOPIC, LIVE_TOPIC) or topic.startswith(("_reply.", "_emit."))


def check_topic(topic: str) -> str:
    """Return `topic` if it is a name users may publish to.

    Raises:
        TopicError: it is empty, too long, reserved, a pattern, or has an odd segment.
    """
    if is_pattern(topic):
        raise TopicError(f"{topic!r} is a pattern; publish to one topic, without * or >")
    if topic.startswith("_"):
        raise TopicError(f"{topic!r} is reserved: topics that start with _ belong to the bus")
    return _check_segments(topic, topic.split("."))


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it is a topic or a pattern.

    Raises:
        TopicError: as `check_topic`, or `>` is not the last segment.
    """
    segments = pattern.split(".")
    if ">" in segments[:-1]:
        raise TopicError(f"{pattern!r}: > stands for the rest and must come last")
    plain = [segment for segment in segments if segment not in ("*", ">")]
    if pattern.startswith("_"):
        raise TopicError(f"{pattern!r} is reserved: topics that start with _ belong to the bus")
    return _check_segments(pattern, plain)


def matches(pattern: str, topic: str) -> bool:
    """Whether `topic` is one of those that `pattern` stands for; never a reserved one."""
    if topic.startswith("_"):
        return pattern == topic
    wanted, given = pattern.split("."), topic.split(".")
    for index, segment in enumerate(wanted):
        if segment == ">":
            return len(given) > index
        if index >= len(given) or segment not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


def _check_segments(name: str, segments: list[str]) -> str:
    if not name or len(name) > MAX_LENGTH:
        raise TopicError(f"a topic has 1 to {MAX_LENGTH} characters, this one has {len(name)}")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise TopicError(
                f"{name!r} is not a topic: {segment!r} must be letters, digits, _ or -, "
                "with a single dot between segments"
            )
    return name
