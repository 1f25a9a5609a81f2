"""`guildbus publish`, `request`, `follow`, `cancel`: talking to a guild that runs elsewhere."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import MAXYEAR
from functools import partial

from pydantic import BaseModel

from guild.checking.answers import require_answer
from guild.checking.audience import Audience
from guild.cli.calling.call import Call
from guild.cli.calling.compose import message_of
from guild.cli.calling.exit_codes import OK, UsageError
from guild.cli.printing.output import Output
from guild.cli.printing.watch import Watch
from guild.client import GuildClient
from guild.operations.composing import conversation_of, described, topic_for
from guild.operations.talking import Reception
from messaging.backend import FROM_START
from messaging.client.following import Followed
from messaging.errors import (
    DelayError,
    NobodyListensError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.handling.subscription import SubscriptionOptions
from messaging.process.clock import SYSTEM
from messaging.state.timers import delay_of
from messaging.wire.envelope import check_id, new_id
from messaging.wire.topic import check_topic

GRACE_S = 1.0
SILENCE_S = SubscriptionOptions().lease_s / 2
"""Two beats of a replica: whoever misses them is probably not there."""

_LOOK_EVERY_S = 0.1


async def publish_message(
    call: Call, type_name: str, data: Sequence[str], *, topic: str | None, delay_s: float
) -> int:
    """Publish and print the id; that nobody will handle it, or not soon, is a warning."""
    try:
        delay_of(delay_s, None, SYSTEM)
    except DelayError as error:
        raise UsageError(
            f"--delay wants a number of seconds, over by the year {MAXYEAR}, not {delay_s}"
        ) from error
    message = message_of(call.plan, type_name, data)
    async with call.client() as client:
        sent = await client.send_message(topic, message, delay_s=delay_s)
    if sent.reception.state != "handled":
        call.output.note(f"warning: {_warning(call, sent.reception)}")
    if call.output.as_json:
        call.output.json({"id": sent.message_id, "topic": sent.topic, "type": sent.type})
    else:
        call.output.text(sent.message_id)
    return OK


async def request_answer(
    call: Call,
    type_name: str,
    data: Sequence[str],
    *,
    topic: str | None,
    timeout_s: float,
    conversation: str,
) -> int:
    """Ask, show what is emitted meanwhile on stderr, and print the answer."""
    message = message_of(call.plan, type_name, data)
    to = check_topic(topic_for(call.plan, message, topic))
    require_answer(call.plan, to, type(message))
    async with call.client() as client:
        reception = await _once_at_work(call, client, message, to)
        if reception.state != "handled":
            raise NobodyListensError(f"nothing was sent: {_remedied(call, reception)}")
        agents = reception.subscribed
        async with _listening_for_life(client, agents, call), naming_the_letter(call):
            message_id = new_id()
            conversation = conversation or conversation_of(message)
            belongs_to = f" --conversation {conversation}" if conversation else ""
            answer = await answer_of(
                partial(
                    client.bus.stream,
                    to,
                    message,
                    timeout_s=timeout_s,
                    conversation=conversation,
                    message_id=message_id,
                    whole_conversation=True,
                ),
                call.output,
                farewell=(
                    f"work on it goes on; to see it: {call.command('follow')} {message_id}"
                    f"{belongs_to}; to stop that: {call.command('cancel')} {message_id}"
                ),
            )
    print_answer(answer, call.output)
    return OK


async def follow_request(
    call: Call, message_id: str, *, timeout_s: float, conversation: str, after: str
) -> int:
    """Show on stderr what is emitted for a request that was made elsewhere; print its answer."""
    _check_id(message_id)
    last: Followed | None = None
    async with call.client() as client, naming_the_letter(call):
        following = client.bus.follow_with_positions(
            message_id,
            timeout_s=timeout_s,
            conversation=conversation,
            whole_conversation=True,
            after=after or FROM_START,
        )
        try:
            with Watch(call.output.err) as watch:
                async with aclosing(following) as items:
                    async for last in items:
                        if not last.is_answer:
                            watch.show(last.message)
        except (asyncio.CancelledError, RequestTimeoutError):
            _tell_how_to_go_on(call, message_id, conversation, last.position if last else after)
            raise
        except ValueError as error:  # the id was looked at before
            raise UsageError(f"--after wants a position that a follow has told: {error}") from None
    if last is None:
        raise UsageError(f"nothing comes behind {after}: it is the position of the answer")
    print_answer(last.message, call.output)
    return OK


def _tell_how_to_go_on(call: Call, message_id: str, conversation: str, position: str) -> None:
    if position:
        belongs_to = f" --conversation {conversation}" if conversation else ""
        again = f"{call.command('follow')} {message_id}{belongs_to} --after {position}"
        call.output.note(f"to go on behind what was shown: {again}")
    call.output.note(
        f"if there is such a request, work on it goes on; to stop that: "
        f"{call.command('cancel')} {message_id}"
    )


async def cancel_message(call: Call, message_id: str, *, reason: str) -> int:
    """Tell whoever works on the message to stop."""
    _check_id(message_id)
    async with call.client() as client:
        await client.cancel(message_id, reason, by=call.user)
        beats = await client.beats(tuple(call.plan.agents))
    if beats:
        call.output.note("told every agent that is running; its requester gets an answer")
    else:
        call.output.note(
            "warning: no agent is running that could be told; if the message waits, it is handled "
            "when the guild runs again"
        )
    return OK


async def answer_of(
    ask: Callable[..., AsyncGenerator[BaseModel, None]], output: Output, *, farewell: str
) -> BaseModel:
    """The answer; what is emitted meanwhile is shown on stderr.

    Args:
        ask: `Bus.stream` with all arguments but `show`.
        output: where to show them.
        farewell: what to tell whoever leaves before the answer is there.
    """
    try:
        with Watch(output.err) as watch:
            async with aclosing(ask(show=watch.show)) as answers:
                return await anext(answers)
    except (asyncio.CancelledError, RequestTimeoutError):
        output.note(farewell)
        raise


def print_answer(answer: BaseModel, output: Output) -> None:
    """An answer that can draw itself (`__rich__`) does so; any other is shown as JSON."""
    if output.as_json:
        output.json(described(answer))
    elif hasattr(answer, "__rich__"):
        output.show(answer)
    else:
        output.text(answer.model_dump_json(indent=2))


def _check_id(message_id: str) -> None:
    try:
        check_id(message_id)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _warning(call: Call, reception: Reception) -> str:
    """What becomes of a message that is not handled soon, and what to do about it."""
    if reception.state == "waits":
        agents = ", ".join(reception.subscribed)
        return f"it waits for {agents}; start the guild: {call.command('run')}"
    kept = "it waits" if reception.state == "paused" else "nobody will get it"
    return f"{kept}: {_remedied(call, reception)}"


def _remedied(call: Call, reception: Reception) -> str:
    """Why no agent handles it, and what to do about that."""
    match reception.state:
        case "unhandled":
            message = call.plan.messages.find(reception.type)
            why = Audience(call.plan).why_unhandled(reception.topic, message) if message else ""
            return why or reception.reason
        case "paused":
            command = f"{call.command('resume')} {reception.paused[0]}"
            return f"{reception.reason}; go on with: {command}"
        case _:
            return f"{reception.reason}; start the guild first: {call.command('run')}"


async def _once_at_work(
    call: Call, client: GuildClient, message: BaseModel, topic: str
) -> Reception:
    """How the message is received once a replica of an agent is registered, or if all are paused.

    The guild may just be starting: it is waited for as long as --wait says.
    """
    patience_s = max(GRACE_S, call.typed.wait_s)
    began_at, is_told = time.monotonic(), False
    while True:
        reception = await client.reception(message, topic)
        waited_s = time.monotonic() - began_at
        if reception.state not in ("lost", "waits") or waited_s >= patience_s:
            return reception
        if waited_s >= GRACE_S and not is_told:
            call.output.note(f"waiting: {_remedied(call, reception)}")
            is_told = True
        await asyncio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def _listening_for_life(
    client: GuildClient, agents: Sequence[str], call: Call
) -> AsyncIterator[None]:
    """Say so once when the agents fall silent while their answer is awaited."""
    listening = asyncio.create_task(_listen_for_life(client, agents, call))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def naming_the_letter(call: Call) -> AsyncIterator[None]:
    """Say where to look when the agent has given up."""
    try:
        yield
    except RequestFailedError as error:
        if error.dead_letter_id:
            show = call.command("dead-letters show")
            call.output.note(f"each attempt and the traceback: {show} {error.dead_letter_id}")
        raise


async def _listen_for_life(client: GuildClient, agents: Sequence[str], call: Call) -> None:
    before: Mapping[str, int] = {}
    while (beats := await client.beats(agents)) != before:
        before = beats
        await asyncio.sleep(SILENCE_S)
    call.output.note(
        f"warning: nothing was heard of {', '.join(agents)} for {SILENCE_S:g} s; the request is "
        f"kept until the guild runs again: {call.command('run')}"
    )
