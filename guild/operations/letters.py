"""The dead letters of a guild: looked at, requeued, dropped."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from guild.checking.validation import with_hints
from guild.errors import LetterNotFoundError
from guild.operations.ground import Ground
from guild.operations.view import View
from messaging.backend import FROM_START, DeadLetter
from messaging.client.dead_letters import EVERY, Wanted
from messaging.errors import InvalidMessageError
from messaging.handling.failure_record import Reason, reason_of
from messaging.wire.envelope import payload_of

PAGE = 100
KINDS = ("type", "error", "agent")


class LetterInfo(View):
    """A message that its agent gave up.

    Attributes:
        id: of the dead letter.
        at: when it was given up.
        message_id: of the message.
        error_type: class name of the last error; `error` is what it said.
    """

    id: str
    at: datetime
    agent: str
    topic: str
    type: str
    message_id: str
    conversation: str
    error_type: str
    error: str


class LetterDetail(LetterInfo):
    """All that is known of a dead letter.

    Attributes:
        cause: id of the message that this one follows from, "" for none.
        reason: the error, its traceback, and every attempt.
        payload: the message as JSON, or as text where it is not JSON.
    """

    sender: str
    cause: str
    trace: str
    reason: Reason
    payload: Any


class LetterGroup(View):
    """Dead letters that have something in common; what they were not grouped by is ""."""

    type: str
    error: str
    agent: str
    letters: int
    first_at: datetime
    last_at: datetime


class Letters(Ground):
    """Looks at dead letters, hands them to their agents again, forgets them."""

    async def letters(
        self, wanted: Wanted = EVERY, *, after: str = FROM_START, count: int = PAGE
    ) -> Sequence[LetterInfo]:
        """At most `count` of those that fit, behind the id `after`, in order of their death."""
        found: list[LetterInfo] = []
        if count < 1:
            return found
        async with aclosing(self.each_letter(wanted, after=after)) as letters:
            async for letter in letters:
                found.append(letter)
                if len(found) == count:
                    break
        return found

    async def each_letter(
        self, wanted: Wanted = EVERY, *, after: str = FROM_START
    ) -> AsyncGenerator[LetterInfo, None]:
        """All that fit, behind the id `after`, in order of their death."""
        async for letter in self.bus.dead_letters.find(wanted, after=after):
            yield _info(letter)

    async def letter_groups(
        self, by: Sequence[str] = KINDS, wanted: Wanted = EVERY
    ) -> Sequence[LetterGroup]:
        """How many of those that fit there are of each kind, the most frequent first.

        Args:
            by: what makes a kind: any of `type`, `error`, `agent`.
            wanted: which letters are counted.

        Raises:
            ValueError: `by` names something else.
        """
        bundles = await self.bus.dead_letters.summary(by, wanted=wanted)
        return [
            LetterGroup(
                type=each.type,
                error=each.error,
                agent=each.agent,
                letters=each.letters,
                first_at=_moment(each.first_at),
                last_at=_moment(each.last_at),
            )
            for each in bundles
        ]

    async def letter(self, letter_id: str) -> LetterDetail:
        """All that is known of the dead letter with this id, or with a message of this id.

        Raises:
            LetterNotFoundError: there is none.
        """
        letter = await self._letter(letter_id)
        return LetterDetail(
            **dict(_info(letter)),
            sender=letter.envelope.sender,
            cause=letter.envelope.cause,
            trace=letter.envelope.trace,
            reason=reason_of(letter),
            payload=_payload(letter),
        )

    async def requeue(
        self,
        letter_id: str,
        *,
        edit: Mapping[str, Any] | None = None,
        payload: Mapping[str, Any] | None = None,
        by: str = "",
    ) -> LetterInfo:
        """Hand a dead letter to its agent again, as if for the first time.

        Args:
            letter_id: of the letter, or of its message.
            edit: fields of the message that get other values, as JSON.
            payload: instead of it, all fields.
            by: for the history of the message, and for `guild.events`; "" for the name of the bus.

        Raises:
            LetterNotFoundError: there is none, any more.
            InvalidMessageError: the edited message does not fit its type; nothing was stored.
            UnknownTypeError: it was to be edited, and the guild does not know its type.
            NobodyListensError: its agent is not subscribed; the letter stays.
            PayloadTooLargeError: it is past the cap; nothing was stored.
        """
        letter = await self._letter(letter_id)
        letters = self.bus.dead_letters
        try:
            if not await letters.requeue(letter.id, edit=edit, payload=payload, by=self._actor(by)):
                raise LetterNotFoundError(letter_id)
        except InvalidMessageError as error:
            message_class = self._plan.messages.find(letter.envelope.type)
            if message_class is None:
                raise
            told = with_hints(error.problems, message_class)
            raise InvalidMessageError(error.wire_name, told) from None
        fields = "all fields" if payload is not None else ", ".join(edit or ())
        await self._tell("requeue", letter.id, by, _named(letter) + _edited(fields))
        return _info(letter)

    async def requeue_all(
        self, wanted: Wanted = EVERY, *, really: bool = False, by: str = ""
    ) -> AsyncGenerator[LetterInfo, None]:
        """Requeue all that fit, the oldest first; unless `really`, only say which.

        Each is yielded once it is requeued. After leaving early, or an error, ask again to go
        on. A message that dies again meanwhile is left alone.

        Args:
            wanted: which letters.
            really: do it.
            by: as for `requeue`. One event tells of all.

        Raises:
            NobodyListensError: an agent is not subscribed, and keeps its letters.
        """
        letters = self.bus.dead_letters
        requeued = letters.requeue_all(wanted, dry_run=not really, by=self._actor(by))
        told = ("requeue", by, _described(wanted)) if really else None
        async with aclosing(self._counted(requeued, told)) as each:
            async for letter in each:
                yield letter

    async def drop(self, letter_id: str, reason: str, *, by: str = "") -> LetterInfo:
        """Forget a dead letter for good; `guild.events` keeps who did it and why.

        Args:
            letter_id: of the letter, or of its message.
            reason: why the message is not wanted any more.
            by: as for `requeue`.

        Raises:
            LetterNotFoundError: there is none, any more.
        """
        letter = await self._letter(letter_id)
        if not await self.bus.dead_letters.drop(letter.id, reason, by=self._actor(by)):
            raise LetterNotFoundError(letter_id)
        await self._tell("drop", letter.id, by, f"{_named(letter)}: {reason}")
        return _info(letter)

    async def drop_all(
        self, wanted: Wanted, reason: str, *, really: bool = False, by: str = ""
    ) -> AsyncGenerator[LetterInfo, None]:
        """Forget all that fit for good, the oldest first; unless `really`, only say which.

        As `requeue_all`: what dies after it began is left alone, though it fits.

        Args:
            wanted: which letters.
            reason: why these messages are not wanted any more; told of each, as by `drop`.
            really: do it.
            by: as for `requeue`. One event more tells of all.
        """
        letters = self.bus.dead_letters
        dropped = letters.drop_all(wanted, reason, dry_run=not really, by=self._actor(by))
        told = ("drop", by, f"{_described(wanted)}: {reason}") if really else None
        async with aclosing(self._counted(dropped, told)) as each:
            async for letter in each:
                yield letter

    async def _counted(
        self, letters: AsyncGenerator[DeadLetter, None], told: tuple[str, str, str] | None
    ) -> AsyncGenerator[LetterInfo, None]:
        """Each of `letters`; in the end, also an early one, how many they were.

        Args:
            letters: on which something is done.
            told: the act, the actor, and which letters; None to tell nothing.
        """
        done, is_whole = 0, False
        try:
            async with aclosing(letters):
                async for letter in letters:
                    done += 1
                    yield _info(letter)
            is_whole = True
        finally:
            if told is not None and done:
                act, by, chosen = told
                count = f"{done:,} dead letter{'s' if done > 1 else ''}"
                count = count if is_whole else f"at least {count}"
                await self._tell(act, "", by, f"{count}: {chosen}")

    async def _letter(self, letter_id: str) -> DeadLetter:
        letter = await self.bus.dead_letters.show(letter_id)
        if letter is None:
            raise LetterNotFoundError(letter_id)
        return letter


def _info(letter: DeadLetter) -> LetterInfo:
    reason, envelope = reason_of(letter), letter.envelope
    return LetterInfo(
        id=letter.id,
        at=_moment(letter.at),
        agent=letter.group,
        topic=envelope.published_to,
        type=envelope.type,
        message_id=envelope.id,
        conversation=envelope.conversation_id,
        error_type=reason.error_type,
        error=reason.text,
    )


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _payload(letter: DeadLetter) -> Any:
    payload = payload_of(letter.envelope)
    try:
        document = from_json(payload, allow_inf_nan=False)
        json.dumps(document, allow_nan=False)  # as which 1e999 was read
    except ValueError:
        return payload.decode("utf-8", "replace")
    return document


def _named(letter: DeadLetter) -> str:
    return f"{letter.envelope.type} {letter.envelope.id} of {letter.group}"


def _edited(fields: str) -> str:
    return f", edited: {fields}" if fields else ""


def _described(wanted: Wanted) -> str:
    chosen = [f"{name}={value}" for name, value in wanted._asdict().items() if value is not None]
    return ", ".join(chosen) or "all"
