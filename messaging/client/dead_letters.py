"""Messages that their group gave up on: kept with why, to be shown, requeued or dropped."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from messaging.backend import FROM_START, Backend, DeadLetter
from messaging.errors import InvalidMessageError, NobodyListensError
from messaging.handling.failure_record import HISTORY, Attempt, reason_of
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope, payload_of
from messaging.wire.message import Message, MessageRegistry, decode, wire_type_of
from messaging.wire.topic import EVENTS_TOPIC, retry_topic_of

PAGE = 100
SHORT_PAGE = 25  # of all that are looked through; each may hold megabytes

Publish = Callable[[str, BaseModel], Awaitable[str]]


class DeadLetterDropped(Message, wire_name="guild.dead_letter_dropped"):
    """Told on `guild.events` before a dead letter is forgotten; its payload is not repeated.

    Attributes:
        by: who dropped it, or the name of the bus on which it was dropped.
        error: class name and text of the error that it died of.
    """

    letter_id: str
    message_id: str
    type: str
    agent: str
    topic: str
    error: str
    reason: str
    by: str


class Wanted(NamedTuple):
    """Which dead letters are meant; what is None does not matter.

    Attributes:
        type: wire name of the message.
        error: class name of the last error.
        topic: where the message was published.
    """

    agent: str | None = None
    type: str | None = None
    error: str | None = None
    topic: str | None = None

    def fits(self, letter: DeadLetter) -> bool:
        envelope = letter.envelope
        return (
            self.agent in (None, letter.group)
            and self.type in (None, envelope.type)
            and self.topic in (None, envelope.published_to)
            and self.error in (None, reason_of(letter).error_type)
        )


class Bundle(NamedTuple):
    """Dead letters that have something in common; what they were not grouped by is ""."""

    type: str
    error: str
    agent: str
    letters: int
    first_at: float
    last_at: float


EVERY = Wanted()


class DeadLetters:
    """The dead letters of a guild.

    Args:
        registry: the classes that an edited message must fit.
        publish: tells of what was dropped.
        name: who acts here, for the history of what was requeued or dropped.
    """

    def __init__(
        self, backend: Backend, registry: MessageRegistry, publish: Publish, name: str
    ) -> None:
        self._backend = backend
        self._registry = registry
        self._publish = publish
        self._name = name

    async def list(
        self, *, group: str | None = None, after: str = FROM_START, max_count: int = PAGE
    ) -> Sequence[DeadLetter]:
        """Dead letters in order of their death, behind the id `after`."""
        return await self._backend.dead_letters(group=group, after=after, max_count=max_count)

    async def count(self) -> int:
        """How many there are, without reading them."""
        return await self._backend.count_dead_letters()

    async def find(
        self, wanted: Wanted = EVERY, *, after: str = FROM_START
    ) -> AsyncIterator[DeadLetter]:
        """All that fit, behind the id `after`, in order of their death."""
        async for letters in self._pages(wanted, after):
            for letter in letters:
                yield letter

    async def summary(
        self, by: Sequence[str] = ("type", "error", "agent"), *, wanted: Wanted = EVERY
    ) -> Sequence[Bundle]:
        """How many there are of each kind, the most frequent first.

        Args:
            by: what makes a kind: any of `type`, `error`, `agent`.
            wanted: which letters are counted.

        Raises:
            ValueError: `by` names something else.
        """
        if odd := set(by) - {"type", "error", "agent"}:
            raise ValueError(f"dead letters are grouped by type, error and agent, not {odd.pop()}")
        bundles: dict[tuple[str, str, str], Bundle] = {}
        async for letter in self.find(wanted):
            key = (
                letter.envelope.type if "type" in by else "",
                reason_of(letter).error_type if "error" in by else "",
                letter.group if "agent" in by else "",
            )
            before = bundles.get(key) or Bundle(*key, 0, letter.at, letter.at)
            bundles[key] = before._replace(letters=before.letters + 1, last_at=letter.at)
        return sorted(bundles.values(), key=lambda bundle: -bundle.letters)

    async def show(self, letter_id: str) -> DeadLetter | None:
        """The dead letter with this id, or with a message of this id."""
        letter = await self._backend.dead_letter(letter_id)
        if letter is not None:
            return letter
        async for letter in self.find():
            if letter.envelope.id == letter_id:
                return letter
        return None

    async def requeue(
        self,
        letter_id: str,
        *,
        edit: Mapping[str, Any] | None = None,
        payload: Mapping[str, Any] | None = None,
        by: str = "",
    ) -> bool:
        """Hand the message to its group again, as if for the first time, without its deadline.

        It keeps its id and its cause; should it die again, its history goes on and tells of the
        requeue and of the names of the fields that were edited.

        Args:
            letter_id: of the letter, or of its message.
            edit: fields of the message that get other values, as JSON.
            payload: instead of it, all fields.
            by: who does it, for the history of the message; "" for the name of the bus.

        Returns:
            False when there is no such letter any more.

        Raises:
            InvalidMessageError: the edited message does not fit its type; nothing was stored.
            UnknownTypeError: it was to be edited, and its type is not known here.
            PayloadTooLargeError: it is past the cap; nothing was stored.
            NobodyListensError: its group is not subscribed; the letter stays.
        """
        letter = await self.show(letter_id)
        if letter is None:
            return False
        envelope, edited = letter.envelope, ""
        if edit is not None or payload is not None:
            envelope, edited = edited_envelope(envelope, self._registry, edit or {}, payload)
        return await self._requeue(letter, envelope, by, edited)

    async def requeue_all(
        self, wanted: Wanted = EVERY, *, dry_run: bool = True, by: str = ""
    ) -> AsyncGenerator[DeadLetter, None]:
        """Requeue all that fit, the oldest first; unless told otherwise, only say which.

        Each is yielded once it is requeued; a page of them is requeued at once. After leaving
        early, or an error, ask again to go on. A message that dies again meanwhile is left alone,
        and so is what a stranger wrote.

        Raises:
            NobodyListensError: a group is not subscribed, and keeps its letters.
        """
        seen: set[tuple[str, str]] = set()
        async for page in self._pages(wanted):
            letters = [letter for letter in page if letter.group and _copy_of(letter) not in seen]
            seen.update(map(_copy_of, letters))
            acts = [] if dry_run else [self._requeue(each, each.envelope, by) for each in letters]
            done, error = (letters, None) if dry_run else await _done_of(letters, acts)
            for letter in done:
                yield letter
            if error is not None:
                raise error

    async def drop(self, letter_id: str, reason: str = "", *, by: str = "") -> bool:
        """Forget it for good; `guild.events` keeps the reason. False when it was gone already."""
        letter = await self.show(letter_id)
        return letter is not None and await self._drop(letter, reason, by)

    async def drop_all(
        self, wanted: Wanted = EVERY, reason: str = "", *, dry_run: bool = True, by: str = ""
    ) -> AsyncGenerator[DeadLetter, None]:
        """Forget all that fit, the oldest first; unless told otherwise, only say which.

        As `requeue_all`: what dies after it began is left alone, though it fits.
        """
        left = await self.count()
        async for page in self._pages(EVERY):
            letters, left = [each for each in page[:left] if wanted.fits(each)], left - len(page)
            acts = [] if dry_run else [self._drop(each, reason, by) for each in letters]
            done, error = (letters, None) if dry_run else await _done_of(letters, acts)
            for letter in done:
                yield letter
            if error is not None:
                raise error
            if left <= 0:
                return

    async def _drop(self, letter: DeadLetter, reason: str, by: str) -> bool:
        died_of = reason_of(letter)
        event = DeadLetterDropped(
            letter_id=letter.id,
            message_id=letter.envelope.id,
            type=letter.envelope.type,
            agent=letter.group,
            topic=letter.envelope.published_to,
            error=f"{died_of.error_type}: {died_of.text}",
            reason=reason,
            by=by or self._name,
        )
        await self._publish(EVENTS_TOPIC, event)
        get_logger().info("dead_letter.dropped", id=letter.id, group=letter.group, reason=reason)
        return await self._backend.drop(letter.id)

    async def _pages(
        self, wanted: Wanted, after: str = FROM_START
    ) -> AsyncIterator[Sequence[DeadLetter]]:
        while letters := await self.list(group=wanted.agent, after=after, max_count=SHORT_PAGE):
            yield [letter for letter in letters if wanted.fits(letter)]
            after = letters[-1].id

    async def _requeue(
        self, letter: DeadLetter, envelope: Envelope, by: str, edited: str = ""
    ) -> bool:
        if not letter.group:
            raise NobodyListensError(
                f"{letter.id} was not written by guildbus: no agent can be handed it; drop it"
            )
        again = envelope._replace(
            topic=retry_topic_of(letter.group),
            origin=letter.envelope.published_to,
            attempt=1,
            deadline=0.0,
            delay_s=0.0,
        )
        text = f"by {by or self._name}" + (f", edited: {edited}" if edited else "")
        mark = Attempt(number=0, error_type="requeued", text=text, at=time.time())
        history = HISTORY.dump_json((*reason_of(letter).attempts, mark))
        get_logger().info("dead_letter.requeued", id=letter.id, group=letter.group, edited=edited)
        return await self._backend.requeue(letter.id, again, history=history)


async def _done_of(
    letters: Sequence[DeadLetter], acts: Sequence[Awaitable[bool]]
) -> tuple[Sequence[DeadLetter], BaseException | None]:
    """The letters that were still there for these acts on them, and the first error."""
    outcomes = await asyncio.gather(*acts, return_exceptions=True)
    done = [letter for letter, was in zip(letters, outcomes, strict=True) if was is True]
    return done, next((was for was in outcomes if isinstance(was, BaseException)), None)


def _copy_of(letter: DeadLetter) -> tuple[str, str]:
    """Of a message each group has its own copy, which may die more than once."""
    return letter.group, letter.envelope.id


def edited_envelope(
    envelope: Envelope,
    registry: MessageRegistry,
    edit: Mapping[str, Any],
    payload: Mapping[str, Any] | None,
) -> tuple[Envelope, str]:
    """`envelope` with another message in it, and the names of the fields that are new.

    Raises:
        UnknownTypeError: the type is not known here.
        InvalidMessageError: the message would not fit it.
    """
    message_class = registry.get(envelope.type, envelope.version)
    if payload is None:
        data, version = {**_fields_in(envelope), **edit}, envelope.version
        edited = ", ".join(edit)
    else:
        data, version = {**payload, **edit}, wire_type_of(message_class).version
        edited = "all fields"
    try:
        text = to_json(data, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError) as error:
        problem = f"message: it cannot be written as JSON ({type(error).__name__})"
        raise InvalidMessageError(envelope.type, (problem,)) from None
    decode(message_class, text, version=version)
    return envelope._replace(payload=text, version=version, message=None), edited


def _fields_in(envelope: Envelope) -> dict[str, Any]:
    try:
        data = from_json(payload_of(envelope))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        problem = "message: it is no JSON object with fields to edit, so give all of its fields"
        raise InvalidMessageError(envelope.type, (problem,))
    return data
