"""Messages that their group gave up on: kept with why, to be shown, requeued or dropped."""

from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from messaging.backend import FROM_START, Backend, DeadLetter
from messaging.message import decode
from messaging.topic import retry_topic_of

log = structlog.get_logger()

PAGE = 100


class Attempt(BaseModel):
    """How one handling of the message ended.

    Attributes:
        number: which start of a handler it was, from 1.
        at: unix seconds.
    """

    number: int
    error_type: str
    text: str
    at: float


class Reason(BaseModel):
    """Why a message was given up.

    Attributes:
        error_type: class name of the last error; `text` and `traceback` belong to it.
        agent: the group that gave up.
        attempts: what went wrong each time, the last time included. An attempt that ended with
            its process is not among them: it could not say.
    """

    error_type: str
    text: str
    traceback: str
    agent: str
    attempts: tuple[Attempt, ...]


def reason_of(letter: DeadLetter) -> Reason:
    """Why `letter` died."""
    return decode(Reason, letter.reason)


class DeadLetters:
    """The dead letters of a guild."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def list(
        self, *, group: str | None = None, after: str = FROM_START, max_count: int = PAGE
    ) -> Sequence[DeadLetter]:
        """Dead letters in order of their death, behind the id `after`."""
        return await self._backend.dead_letters(group=group, after=after, max_count=max_count)

    async def show(self, letter_id: str) -> DeadLetter | None:
        """The dead letter with this id, or with a message of this id."""
        return await self._backend.dead_letter(letter_id) or await self._find(letter_id)

    async def requeue(self, letter_id: str) -> bool:
        """Hand the message to its group again, as if for the first time, without its deadline.

        False when there is no such letter any more.
        """
        letter = await self.show(letter_id)
        if letter is None:
            return False
        envelope = letter.envelope._replace(
            topic=retry_topic_of(letter.group),
            origin=letter.envelope.published_to,
            attempt=1,
            deadline=0.0,
            delay_s=0.0,
        )
        log.info("dead_letter.requeued", id=letter.id, group=letter.group)
        return await self._backend.requeue(letter.id, envelope)

    async def drop(self, letter_id: str, reason: str = "") -> bool:
        """Forget it for good; `reason` goes to the log. False when it was gone already."""
        letter = await self.show(letter_id)
        if letter is None:
            return False
        log.info("dead_letter.dropped", id=letter.id, group=letter.group, reason=reason)
        return await self._backend.drop(letter.id)

    async def _find(self, message_id: str) -> DeadLetter | None:
        after = FROM_START
        while letters := await self._backend.dead_letters(after=after, max_count=PAGE):
            for letter in letters:
                if letter.envelope.id == message_id:
                    return letter
            after = letters[-1].id
        return None
