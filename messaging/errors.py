"""What can go wrong on the bus.

MessagingError
├── WireError                  a message that cannot travel
│   ├── UnknownTypeError       this wire name is not registered
│   │   ├── TooNewError            a later version of it than any known here
│   │   └── MissingUpcasterError   an earlier version, and no way from there
│   ├── WireNameConflictError  two classes claim one wire name
│   ├── InvalidMessageError    the payload does not fit its type
│   ├── NotAMessageError       not a pydantic model, where a message is wanted; a TypeError, too
│   ├── UnfitClassError        a class whose messages could never arrive as they were sent
│   └── PayloadTooLargeError   past the cap, checked before anything is parsed
├── TopicError                 not a topic or pattern
├── DelayError                 a delay or time that a message cannot wait for; a ValueError, too
├── BackendError               the store refused or is away
│   ├── BackendUnavailableError    no server to be had, or it went away past the deadline
│   ├── BackendSetupError          a server that cannot keep the promises asked of it
│   ├── BusFullError               a hard limit was reached; nothing was stored
│   └── NotReplicatedError         stored, but not on every replica in time
├── FencedError                this consumer was taken over; nothing was written
├── NotHeldError               a commit of what the consumer does not hold; nothing was written
├── RequestTimeoutError        no answer in time; the request itself is still accepted
├── RequestFailedError         the answer is an error, typed and with its cause
├── RequestCancelledError      somebody cancelled the request
├── NotAskedError              a request under the id of a message that was published
├── PositionLostError          to be followed behind what is not kept any more
├── NobodyListensError         asked to fail when no agent is subscribed
├── HandlingError              a message that was not handled as its sender hoped
│   ├── HandlerTimeoutError    the handler took longer than it may
│   ├── HandlerResultError     it returned what is not a message, or not the one it declares
│   ├── ForgottenAwaitError    it began what it never awaited
│   ├── HandlingCancelledError somebody cancelled it while a thread worked on it
│   ├── DeadlineExceededError  its time was over before it was handled
│   ├── HopLimitError          it went round in a loop
│   ├── LostWorkerError        it was begun so often, and its processes died
│   ├── StateConflictError     others changed the state it wrote, in spite of its turn
│   └── StepError              a step that cannot be journalled
└── BusClosedError             used before it was opened or after it was closed
    └── BusForkedError             used by a child of the process that opened it
"""

from typing import Self


class MessagingError(Exception):
    """Root of everything the bus raises on purpose."""


class WireError(MessagingError):
    """A message that cannot travel as it is; no further attempt can cure it."""

    retryable = False


class UnknownTypeError(WireError):
    """This wire name is not registered."""

    def __init__(self, wire_name: str, version: int, known: tuple[str, ...] = ()) -> None:
        hint = f"; known types: {', '.join(known)}" if known else ""
        super().__init__(f"no message type is registered as {wire_name}@{version}{hint}")
        self.wire_name = wire_name
        self.version = version


class TooNewError(UnknownTypeError):
    """A later version of a known type; how to bring it down cannot be guessed."""

    def __init__(self, wire_name: str, version: int, newest: int) -> None:
        WireError.__init__(
            self,
            f"{wire_name}@{version} is newer than {wire_name}@{newest}, the newest known here: "
            "update this process; then a dead letter of it can be requeued",
        )
        self.wire_name = wire_name
        self.version = version


class MissingUpcasterError(UnknownTypeError):
    """An earlier version of a known type, and a step on the way to the known one is missing."""

    def __init__(self, wire_name: str, version: int, missing: int, newest: int) -> None:
        WireError.__init__(
            self,
            f"{wire_name}@{version} cannot become {wire_name}@{newest}: there is no upcaster from "
            f"version {missing}; add one with upcast(from_version={missing}) to its class",
        )
        self.wire_name = wire_name
        self.version = version


class WireNameConflictError(WireError):
    """Two classes claim the same wire name and version."""


class InvalidMessageError(WireError):
    """The payload does not fit its type; the text names fields, never their values."""

    def __init__(self, wire_name: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"not a valid {wire_name}: {'; '.join(problems)}")
        self.wire_name = wire_name
        self.problems = problems


class NotAMessageError(WireError, TypeError):
    """Something other than a pydantic model was given where a message is wanted."""

    def __init__(self, given: object) -> None:
        what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        remedy = ": make one of it, with its fields" if isinstance(given, type) else ""
        super().__init__(
            f"a message is an instance of a pydantic model, not {what}{remedy}; nothing was sent"
        )
        self.given = type(given)


class UnfitClassError(WireError):
    """No message of this class could arrive as it was sent; names each field, and the remedy."""

    def __init__(self, class_name: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"{class_name} cannot be a message: {'; '.join(problems)}")
        self.class_name = class_name
        self.problems = problems


class PayloadTooLargeError(WireError):
    """An envelope, a value or a commit past the cap; it was neither stored nor parsed."""

    def __init__(
        self,
        wire_name: str,
        size_bytes: int,
        limit_bytes: int,
        remedy: str = "put large data into a file or store and send its name",
    ) -> None:
        super().__init__(
            f"{wire_name} is {size_bytes:,} bytes long and the limit is {limit_bytes:,}; {remedy}"
        )
        self.wire_name = wire_name
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes

    @classmethod
    def of_commit(cls, group: str, size_bytes: int, limit_bytes: int) -> Self:
        """The error of what one handling sends and writes in all."""
        return cls(
            f"what {group} sends and writes in one commit",
            size_bytes,
            limit_bytes,
            "send less in one handling, for instance a message to this agent that goes on from "
            "there, or raise max_commit_bytes",
        )


class TopicError(MessagingError):
    """Not the name of a topic, or not a pattern over topics."""

    retryable = False


class DelayError(MessagingError, ValueError):
    """A delay or a time that a message cannot wait for; nothing was sent."""

    retryable = False


class BackendError(MessagingError):
    """The store behind the bus refused, or is away."""


class BackendUnavailableError(BackendError):
    """No server is to be had, or it stayed away past the deadline."""


class BackendSetupError(BackendError):
    """The server cannot keep what the guild's profile promises."""


class BusFullError(BackendError):
    """A hard limit was reached; nothing of the batch was stored.

    Attributes:
        topic: the topic that is full, "" where it is something else.
        limit: how many entries fit, 0 where it is the server's memory.
        lagging: the group that has not settled the topic's oldest entry, "" when none lags.
    """

    def __init__(self, text: str, *, topic: str = "", limit: int = 0, lagging: str = "") -> None:
        super().__init__(text)
        self.topic = topic
        self.limit = limit
        self.lagging = lagging

    @classmethod
    def of_topic(cls, topic: str, limit: int, lagging: str) -> Self:
        """The error of a topic that has no room for a batch."""
        remedy = (
            f"{lagging} has not settled the oldest of them: let it catch up, or add replicas of it"
            if lagging
            else "no agent lags: publish less at once, or raise max_backlog"
        )
        return cls(
            f"topic {topic} has no room left within its limit of {limit:,} messages, nothing was "
            f"stored; {remedy}",
            topic=topic,
            limit=limit,
            lagging=lagging,
        )


class NotReplicatedError(BackendError):
    """Stored on the server's disk and accepted, but not on every replica in time."""

    def __init__(self, replicas: int, wanted: int, waited_s: float) -> None:
        super().__init__(
            f"{replicas} of {wanted} replicas confirmed within {waited_s:g} s; it is on the disk "
            "of the primary and will be delivered, so do not publish it again; but it would be "
            "lost with that server: look after the replicas"
        )
        self.replicas = replicas
        self.wanted = wanted


class FencedError(MessagingError):
    """Somebody took this consumer's work over, so nothing was written."""

    def __init__(self, group: str, incarnation: str) -> None:
        super().__init__(
            f"consumer {incarnation} of {group} was taken over; its commit wrote nothing"
        )
        self.group = group
        self.incarnation = incarnation


class NotHeldError(MessagingError):
    """A commit of deliveries that this consumer was not lent, or has settled before."""

    def __init__(self, group: str, incarnation: str) -> None:
        super().__init__(
            f"consumer {incarnation} of {group} does not hold every delivery that it settles; "
            "its commit wrote nothing"
        )
        self.group = group
        self.incarnation = incarnation


class RequestTimeoutError(MessagingError):
    """No answer in time. The request stays accepted and may still be handled."""

    def __init__(
        self, message_id: str, wire_name: str, topic: str, timeout_s: float, meanwhile: str = ""
    ) -> None:
        state = (
            f"{meanwhile}, so the request may not be stored yet, or its answer comes late: "
            if meanwhile
            else "it stays accepted: "
        )
        super().__init__(
            f"no answer to {wire_name} {message_id}{f' on {topic}' if topic else ''} within "
            f"{timeout_s:g} s; {state}cancel it by its id, or wait longer"
        )
        self.message_id = message_id


class RequestFailedError(MessagingError):
    """The answer to a request is an error.

    It is final: the agent that was asked had its attempts, and so a handler that fails with this
    error is not tried again. One that wants another attempt raises an error of its own.

    The agent that was asked may have given up, or any agent that worked on what followed from the
    request: then the message that failed is another one than the message that was asked.

    Attributes:
        error_type: class name of what was raised where the message was handled.
        agent: the agent that gave up.
        dead_letter_id: id of the message that failed, which finds its dead letter; "" when it was
            not dead-lettered.
        message_type: wire type of the message that failed, "" if it is not known.
        asked_id: id of the request.
        asked_type: wire type of the request, "" if it is not known.
        conversation: id of the conversation that both belong to.
    """

    retryable = False

    def __init__(
        self,
        error_type: str,
        text: str,
        *,
        agent: str = "",
        dead_letter_id: str = "",
        message_type: str = "",
        asked_id: str = "",
        asked_type: str = "",
        conversation: str = "",
    ) -> None:
        did = f"answered with {error_type}"
        if dead_letter_id and asked_id and dead_letter_id != asked_id:
            did = (
                f"gave up on {message_type} {dead_letter_id}, which followed from the request "
                f"{asked_type} {asked_id} in conversation {conversation}: {error_type}"
            )
        super().__init__(f"{agent or 'the guild'} {did}: {text}")
        self.error_type = error_type
        self.text = text
        self.agent = agent
        self.dead_letter_id = dead_letter_id
        self.message_type = message_type
        self.asked_id = asked_id
        self.asked_type = asked_type
        self.conversation = conversation


class RequestCancelledError(MessagingError):
    """The request, or what followed from it, was cancelled before the request was answered.

    A handler that fails with it is not tried again: that would ask for what was cancelled.

    Attributes:
        message_id: the message that was cancelled.
        asked_id: id of the request; another one when something was cancelled that followed from it.
    """

    retryable = False

    def __init__(self, message_id: str, reason: str = "", *, asked_id: str = "") -> None:
        what = f"request {message_id}"
        if asked_id and asked_id != message_id:
            what = f"{message_id}, which followed from request {asked_id},"
        super().__init__(f"{what} was cancelled{f': {reason}' if reason else ''}")
        self.message_id = message_id
        self.asked_id = asked_id or message_id


class NotAskedError(MessagingError):
    """A request under an id under which a message was published: no answer would come to it."""

    retryable = False

    def __init__(self, wire_name: str, message_id: str, topic: str) -> None:
        super().__init__(
            f"{wire_name} {message_id} was published on {topic} before it was asked: it is handled "
            "once, as a message whose answer goes to no caller, and this request was not stored; "
            "ask under a new id, or ask from the start what has to be answered"
        )
        self.message_id = message_id
        self.topic = topic


class PositionLostError(MessagingError):
    """A request was to be followed behind a position that is not kept any more.

    Items behind it may be missing. What is kept can be followed from its start.
    """

    retryable = False

    def __init__(self, position: str, message_id: str) -> None:
        super().__init__(
            f"what was emitted for {message_id} is not kept from position {position} on: items "
            "behind it may be missing; follow the request without a position for what is kept"
        )
        self.position = position
        self.message_id = message_id


class NobodyListensError(MessagingError):
    """No agent is subscribed to what was published."""


class BusClosedError(MessagingError):
    """The bus was used before it was opened or after it was closed."""


class BusForkedError(BusClosedError):
    """The bus was opened by another process, from which this one was forked."""

    def __init__(self) -> None:
        super().__init__(
            "this process was forked from the one that opened the bus, whose connections and event "
            "loop stay with that one: connect anew here, with a bus of this process's own, or "
            'start it without a fork: multiprocessing.get_context("spawn")'
        )


class HandlingError(MessagingError):
    """A message was not handled as its sender hoped."""


class HandlerTimeoutError(HandlingError):
    """The handler took longer than its subscription allows."""

    def __init__(self, group: str, wire_name: str, timeout_s: float) -> None:
        super().__init__(f"{group} took longer than {timeout_s:g} s for {wire_name}")
        self.timeout_s = timeout_s


class HandlerResultError(HandlingError):
    """A handler returned what is not a message, nor several, nor None, or not what it declares."""

    retryable = False


class ForgottenAwaitError(HandlingError):
    """The handler called something that has to be awaited, and did not await it.

    Attributes:
        calls: what it called, as in its source.
    """

    retryable = False

    def __init__(self, calls: tuple[str, ...]) -> None:
        forgotten = " and ".join(f"ctx.{call}" for call in calls)
        super().__init__(
            f"{forgotten} was called and never awaited, so it was not done, and nothing of this "
            "handling was committed: write `await` in front of it; in a plain handler, "
            "`ctx.wait_for(…)` around it"
        )
        self.calls = calls


class HandlingCancelledError(HandlingError):
    """The handling is over: cancelled, timed out, or taken over. Nothing it sends will leave."""


class DeadlineExceededError(HandlingError):
    """The message's deadline passed before it was handled."""

    retryable = False


class HopLimitError(HandlingError):
    """The message came through more handlings than its subscription allows."""

    retryable = False


class LostWorkerError(HandlingError):
    """A message was begun as often as it may be, and the process of the last start is lost."""

    retryable = False

    def __init__(self, wire_name: str, message_id: str, starts: int) -> None:
        times = "once" if starts == 1 else f"{starts} times"
        super().__init__(
            f"{wire_name} {message_id} was begun {times}; the process that began it last is lost, "
            "as is one that held it earlier: it probably kills them"
        )
        self.starts = starts


class StateConflictError(HandlingError):
    """The state that was read has changed: of a handling, again and again in spite of its turn."""


class StepError(HandlingError):
    """A step that cannot be journalled: its name came twice, or its result is not JSON."""

    retryable = False
