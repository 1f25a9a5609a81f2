"""Dead letters: looked at, requeued, dropped."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import Field

from guild.gateway.endpoint import Call
from guild.gateway.errors import InvalidParameterError
from guild.gateway.routes.messages import check_may_be_edited
from guild.gateway.routes.shapes import Count, Given, Reason
from guild.operations.letters import KINDS, PAGE, LetterDetail, LetterGroup, LetterInfo
from guild.operations.view import View
from messaging.backend import FROM_START
from messaging.client.dead_letters import Wanted

LetterId = Annotated[str, Field(pattern=r"^([0-9]{1,20}(-[0-9]{1,19})?)?$")]
MOST_SHOWN = 100


class Which(Given):
    """Which dead letters: those that fit all that is said."""

    agent: str | None = None
    type: str | None = None
    error: Annotated[str | None, Field(description="Class name of the last error.")] = None
    topic: str | None = None

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.agent, self.type, self.error, self.topic)


class Page(Which):
    """A page of them, the oldest first."""

    after: Annotated[LetterId, Field(description="Only those behind this one.")] = FROM_START
    count: Count = PAGE


class Grouping(Which):
    """What they are grouped by."""

    by: Annotated[
        str, Field(max_length=100, description="Any of type, error, agent, joined by commas.")
    ] = ",".join(KINDS)


class Requeueing(Given):
    """What is changed before the message is handed to its agent again."""

    edit: Annotated[
        Mapping[str, Any] | None, Field(description="Fields that get other values.")
    ] = None
    payload: Annotated[
        Mapping[str, Any] | None, Field(description="All fields, in place of those there are.")
    ] = None


class RequeueingAll(Which):
    """Which are requeued; nothing is, unless `really`."""

    really: bool = False


class Dropping(Given):
    """Why the message is not wanted any more; `guild.events` keeps it."""

    reason: Annotated[Reason, Field(min_length=1)]


class DroppingAll(Which):
    """Which are dropped, and why; nothing is, unless `really`."""

    reason: Annotated[Reason, Field(min_length=1)]
    really: bool = False


class Handled(View):
    """Those that were requeued or dropped, or would be.

    Attributes:
        letters: the first of them.
        count: how many there are.
        really: whether it was done.
    """

    letters: tuple[LetterInfo, ...]
    count: int
    really: bool


async def list_letters(call: Call[None, Page]) -> Sequence[LetterInfo]:
    page = call.query
    letters = call.client.letters(page.wanted, after=page.after, count=page.count)
    return await call.unless_gone(letters)


async def group_letters(call: Call[None, Grouping]) -> Sequence[LetterGroup]:
    by = [kind.strip() for kind in call.query.by.split(",") if kind.strip()]
    if odd := [kind for kind in by if kind not in KINDS]:
        raise InvalidParameterError((f"by: any of {', '.join(KINDS)}, not {odd[0]!r}",))
    return await call.unless_gone(call.client.letter_groups(by, call.query.wanted))


async def show_letter(call: Call[None, None]) -> LetterDetail:
    return await call.client.letter(call.path["id"])


async def requeue_letter(call: Call[Requeueing, None]) -> LetterInfo:
    change = call.body
    if change.edit is not None or change.payload is not None:
        await check_may_be_edited(call.client, call.path["id"])
    return await call.client.requeue(
        call.path["id"], edit=change.edit, payload=change.payload, by=call.caller.name
    )


async def requeue_letters(call: Call[RequeueingAll, None]) -> Handled:
    body = call.body
    requeued = call.client.requeue_all(body.wanted, really=body.really, by=call.caller.name)
    return await call.unless_gone(_counted(requeued, really=body.really))


async def drop_letters(call: Call[DroppingAll, None]) -> Handled:
    body, by = call.body, call.caller.name
    dropped = call.client.drop_all(body.wanted, body.reason, really=body.really, by=by)
    return await call.unless_gone(_counted(dropped, really=body.really))


async def _counted(letters: AsyncGenerator[LetterInfo, None], *, really: bool) -> Handled:
    shown, count = list[LetterInfo](), 0
    async with aclosing(letters):
        async for letter in letters:
            count += 1
            if count <= MOST_SHOWN:
                shown.append(letter)
    return Handled(letters=tuple(shown), count=count, really=really)


async def drop_letter(call: Call[Dropping, None]) -> LetterInfo:
    return await call.client.drop(call.path["id"], call.body.reason, by=call.caller.name)
