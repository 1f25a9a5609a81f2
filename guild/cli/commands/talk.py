"""`guildbus publish`, `request`, `follow`, `cancel`: talking to a guild that runs elsewhere."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import MAXYEAR
from functools import partial
from typing import Any

from pydantic import BaseModel

from guild.checking.answers import require_answer
from guild.checking.parts import listens
from guild.cli.calling.call import Call
from guild.cli.calling.compose import conversation_of, message_of, to_topic
from guild.cli.calling.exit_codes import OK, UsageError
from guild.cli.printing.output import Output
from guild.cli.printing.watch import Watch
from guild.client import GuildClient
from messaging.errors import (
    DelayError,
    NobodyListensError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.handling.subscription import SubscriptionOptions
from messaging.process.clock import SYSTEM
from messaging.state.timers import delay_of
from messaging.wire.envelope import new_id
from messaging.wire.message import wire_type_of
from messaging.wire.sealing import check_id

Beats = Mapping[str, int]

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
    to = to_topic(call.plan, message, topic)
    async with call.client() as client:
        owed = await _subscribers(call, client, message, to)
        message_id = await client.bus.publish(to, message, delay_s=delay_s)
        beats = await _beats(client, owed)
        paused = [agent for agent in owed if agent in await client.bus.paused()]
    name = wire_type_of(type(message))
    if not owed:
        call.output.note(f"warning: nobody will get it: {_why_nobody(call, message, to)}")
    elif paused == owed:
        call.output.note(f"warning: it waits: {_paused(call, paused)}")
    elif not beats:
        waits_for = ", ".join(owed)
        call.output.note(
            f"warning: it waits for {waits_for}; start the guild: {call.command('run')}"
        )
    if call.output.as_json:
        call.output.json({"id": message_id, "topic": to, "type": str(name)})
    else:
        call.output.text(message_id)
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
    to = to_topic(call.plan, message, topic)
    require_answer(call.plan, to, type(message))
    async with call.client() as client:
        owed = await _at_work(call, client, message, to)
        paused = [agent for agent in owed if agent in await client.bus.paused()]
        if paused and paused == owed:
            raise NobodyListensError(f"nothing was sent: {_paused(call, paused)}")
        if not owed:
            raise NobodyListensError(f"nothing was sent: {_why_nobody(call, message, to)}")
        async with _listening_for_life(client, owed, call), naming_the_letter(call):
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
    call: Call, message_id: str, *, timeout_s: float, conversation: str
) -> int:
    """Show on stderr what is emitted for a request that was made elsewhere; print its answer."""
    _check_id(message_id)
    async with call.client() as client, naming_the_letter(call):
        answer = await answer_of(
            partial(
                client.bus.follow,
                message_id,
                timeout_s=timeout_s,
                conversation=conversation,
                whole_conversation=True,
            ),
            call.output,
            farewell=(
                f"if there is such a request, work on it goes on; to stop that: "
                f"{call.command('cancel')} {message_id}"
            ),
        )
    print_answer(answer, call.output)
    return OK


async def cancel_message(call: Call, message_id: str, *, reason: str) -> int:
    """Tell whoever works on the message to stop."""
    _check_id(message_id)
    async with call.client() as client:
        await client.cancel(message_id, reason)
        beats = await _beats(client, tuple(call.plan.agents))
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
        ask: `Bus.stream` or `Bus.follow`, with all arguments but `show`.
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
        output.json(_described(answer))
    elif hasattr(answer, "__rich__"):
        output.show(answer)
    else:
        output.text(answer.model_dump_json(indent=2))


def _described(message: BaseModel) -> dict[str, Any]:
    return {"type": str(wire_type_of(type(message))), "data": message.model_dump(mode="json")}


async def _subscribers(
    call: Call, client: GuildClient, message: BaseModel, topic: str
) -> Sequence[str]:
    """The agents that handle `message` there and have subscribed, at some time or other."""
    groups = await client.bus.groups()
    return [agent for agent in handlers_of(call, message, topic) if agent in groups]


def handlers_of(call: Call, message: BaseModel, topic: str) -> Sequence[str]:
    """Ids of the agents of the spec that handle `message` on `topic`."""
    plan = call.plan
    return [
        agent.id
        for agent in plan.spec.agents
        if listens(agent, topic) and type(message) in plan.agents[agent.id].accepted()
    ]


def _check_id(message_id: str) -> None:
    try:
        check_id(message_id)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _paused(call: Call, agents: Sequence[str]) -> str:
    """That they are paused, and how to change that."""
    is_paused = "is paused" if len(agents) == 1 else "are paused"
    return f"{', '.join(agents)} {is_paused}; go on with: {call.command('resume')} {agents[0]}"


def _why_nobody(call: Call, message: BaseModel, topic: str) -> str:
    name = wire_type_of(type(message)).name
    handlers = handlers_of(call, message, topic)
    if not handlers:
        return f"no agent of {call.plan.spec.id} handles {name} on {topic}"
    is_not = "is not" if len(handlers) == 1 else "are not"
    agents = ", ".join(handlers)
    return f"{agents} {is_not} running; start the guild first: {call.command('run')}"


async def _at_work(
    call: Call, client: GuildClient, message: BaseModel, topic: str
) -> Sequence[str]:
    """The subscribers, once one of them is registered, or if all are paused.

    The guild may just be starting: it is waited for as long as --wait says, and then it is nobody.
    """
    patience_s = max(GRACE_S, call.typed.wait_s)
    began_at, is_told = time.monotonic(), False
    while True:
        agents = await _subscribers(call, client, message, topic)
        if await _beats(client, agents) or (
            agents and set(agents) <= set(await client.bus.paused())
        ):
            return agents
        waited_s = time.monotonic() - began_at
        if waited_s >= patience_s or not handlers_of(call, message, topic):
            return ()
        if waited_s >= GRACE_S and not is_told:
            call.output.note(f"waiting: {_why_nobody(call, message, topic)}")
            is_told = True
        await asyncio.sleep(_LOOK_EVERY_S)


async def _beats(client: GuildClient, agents: Sequence[str]) -> Beats:
    beats: dict[str, int] = {}
    for agent in agents:
        beats |= await client.bus.backend.consumers(agent)
    return beats


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
    before: Beats = {}
    while (beats := await _beats(client, agents)) != before:
        before = beats
        await asyncio.sleep(SILENCE_S)
    call.output.note(
        f"warning: nothing was heard of {', '.join(agents)} for {SILENCE_S:g} s; the request is "
        f"kept until the guild runs again: {call.command('run')}"
    )
