"""Requests: asked, followed, cancelled.

A request is accepted under an id before anything of its answer is sent. So it outlives the page
that asked, and, once it is answered, the gateway: it is followed by its id, from any process.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.types import ASGIApp

from guild.gateway.endpoint import Call
from guild.gateway.errors import (
    GatewayClosingError,
    InvalidParameterError,
    TooManyStreamsError,
)
from guild.gateway.problems import problem_response
from guild.gateway.routes.messages import check_may_be_sent, named
from guild.gateway.routes.shapes import (
    Data,
    Given,
    MessageId,
    Reason,
    Tags,
    TimeoutS,
    TypeName,
    message_id_in,
)
from guild.gateway.streams import Event, Open, event
from guild.operations.composing import conversation_of, described
from guild.operations.talking import Answered
from guild.operations.view import View
from messaging.bus import DEFAULT_TIMEOUT_S
from messaging.client.following import Followed
from messaging.errors import RequestTimeoutError

LOOK_S = 1.0
"""How long an answer is waited for that is there, if it is."""

MOST_OF_A_POSITION = 100

LAST_EVENT = {"Last-Event-ID": "The id of the last event that came: only what came behind it."}
PREFER = {"Prefer": "`respond-async`: do not wait for the answer, which is followed at Location."}


class Asking(Given):
    """A request, and how long to wait for its answer."""

    type: TypeName
    data: Data = Field(default_factory=dict)
    timeout_s: TimeoutS = DEFAULT_TIMEOUT_S
    tags: Tags = ()
    conversation: MessageId = ""
    whole_conversation: bool = False


class Following(Given):
    """How to follow a request."""

    timeout_s: TimeoutS = DEFAULT_TIMEOUT_S
    conversation: MessageId = ""
    whole_conversation: bool = False


class Cancelling(Given):
    """Why a request is cancelled."""

    reason: Reason = ""


class Accepted(View):
    """A request that was accepted; its answer comes later.

    Attributes:
        location: where to follow it, as in the header `Location`: relative to the path that was
            asked.
    """

    message_id: str
    conversation: str
    location: str


class Cancelled(View):
    """That everybody who works on it was told; the requester gets an error."""

    message_id: str
    reason: str


class Emitted(View):
    """Something that was shown meanwhile, or the answer.

    Attributes:
        data: as its schema has it, see /schemas/{type}.
    """

    type: str
    data: Any


async def ask(call: Call[Asking, None]) -> Answered | ASGIApp:
    """Accept the request, then answer in the face that the caller wants."""
    body, client = call.body, call.client
    wait_s = _checked(call, body.timeout_s)
    if call.wants_events:
        call.check_room_for_stream()
    message = named(client.compose(body.type, body.data), call.caller)
    check_may_be_sent(call.path["topic"], message)
    conversation = body.conversation or conversation_of(message)
    async with call.sending() as message_id:
        await client.begin_request(
            call.path["topic"],
            message,
            message_id=message_id,
            conversation=conversation,
            tags=body.tags,
        )
    following = Following(
        timeout_s=wait_s,
        conversation=conversation,
        whole_conversation=body.whole_conversation,
    )
    query = _query(following, with_timeout=call.wants_events)
    location = f"../../requests/{message_id}{query}"
    accepted = Accepted(
        message_id=message_id, conversation=conversation or message_id, location=location
    )
    if call.wants_events:
        # What was accepted is not refused: where another stream took the last place, it is followed
        # later.
        with suppress(TooManyStreamsError):
            return call.stream(_source(call, message_id, following, accepted), Location=location)
    if call.wants_events or call.prefers_async:
        return _later(accepted)
    return await _answer(call, message_id, following, location)


async def follow(call: Call[None, Following]) -> Answered | ASGIApp:
    """Follow a request that any process began."""
    message_id, query = message_id_in(call.path["message_id"]), call.query
    _checked(call, query.timeout_s)
    location = f"{message_id}{_query(query)}"
    if call.wants_events:
        after = _position(call.headers.get("last-event-id", ""))
        return call.stream(_source(call, message_id, query, after=after))
    if not call.prefers_async:
        return await _answer(call, message_id, query, location)
    try:
        look = query.model_copy(update={"timeout_s": LOOK_S})
        return await call.unless_gone(_answered(call, message_id, look))
    except RequestTimeoutError:
        conversation = query.conversation or message_id
        accepted = Accepted(message_id=message_id, conversation=conversation, location=location)
        return _later(accepted)


async def cancel(call: Call[Cancelling, None]) -> Cancelled:
    """Stop the work on a request, and on what followed from it."""
    message_id = message_id_in(call.path["message_id"])
    await call.client.cancel(message_id, call.body.reason, by=call.caller.name)
    return Cancelled(message_id=message_id, reason=call.body.reason)


def _source(
    call: Call[Any, Any],
    message_id: str,
    following: Following,
    accepted: Accepted | None = None,
    after: str = "",
) -> Open:
    """Opens the events of a request behind a position; the first are told that it was accepted."""

    async def events(position: str) -> AsyncGenerator[Event, None]:
        if accepted is not None and not position:
            yield event("accepted", accepted)
        async with aclosing(_followed(call, message_id, following, position or after)) as items:
            try:
                async for item in items:
                    name = "answer" if item.is_answer else "emitted"
                    yield event(name, _emitted(item.message), item.position)
            except ValueError as error:  # of the backend: it is no position
                raise InvalidParameterError(("Last-Event-ID: it is the id of no event",)) from error

    return events


def _followed(
    call: Call[Any, Any], message_id: str, following: Following, after: str
) -> AsyncGenerator[Followed, None]:
    followed: Any = call.client.follow_with_positions(
        message_id,
        timeout_s=following.timeout_s,
        conversation=following.conversation,
        whole_conversation=following.whole_conversation,
        after=after,
    )
    return followed  # type: ignore[no-any-return]  # an iterator by its type, a generator by nature


async def _answer(
    call: Call[Any, Any], message_id: str, following: Following, location: str
) -> Answered | Response:
    try:
        return await call.unless_gone(_answered(call, message_id, following))
    except (RequestTimeoutError, GatewayClosingError) as error:
        return problem_response(error, {"Location": location})


async def _answered(call: Call[Any, Any], message_id: str, following: Following) -> Answered:
    async with aclosing(_followed(call, message_id, following, "")) as items:
        async for item in items:
            if item.is_answer:
                return Answered(message_id=message_id, **described(item.message))
    raise AssertionError("a request that is followed from its start ends with its answer")


def _later(accepted: Accepted) -> Response:
    headers = {"Location": accepted.location, "Cache-Control": "no-store"}
    return Response(accepted.model_dump_json(), 202, headers, "application/json")


def _emitted(message: BaseModel) -> Emitted:
    return Emitted(**described(message))


def _query(following: Following, *, with_timeout: bool = False) -> str:
    """What a caller that comes back has to say, "" if nothing; a stream is as patient again."""
    left_out = set() if with_timeout else {"timeout_s"}
    said = following.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
    return f"?{urlencode({k: str(v).lower() for k, v in said.items()})}" if said else ""


def _checked(call: Call[Any, Any], timeout_s: float) -> float:
    most = call.services.limits.wait_s
    if timeout_s > most:
        raise InvalidParameterError((f"timeout_s: at most {most:g} s are waited for",))
    return timeout_s


def _position(last_event_id: str) -> str:
    """Where a caller goes on.

    Raises:
        InvalidParameterError: no event of ours had that id.
    """
    is_text = last_event_id.isascii() and last_event_id.isprintable()
    if not is_text or len(last_event_id) > MOST_OF_A_POSITION:
        raise InvalidParameterError(("Last-Event-ID: it is the id of no event",))
    return last_event_id
