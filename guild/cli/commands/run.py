"""`guildbus run`."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial

from pydantic import BaseModel

from guild.checking.answers import require_answer
from guild.cli.calling.call import Call
from guild.cli.calling.compose import message_of
from guild.cli.calling.exit_codes import FAILED, INTERRUPTED, OK, UsageError
from guild.cli.commands.http import NO_HTTP, Http, gateway_beside
from guild.cli.commands.observing import sight_of
from guild.cli.commands.talk import answer_of, naming_the_letter, print_answer
from guild.operations.composing import conversation_of, handlers_of, topic_for
from guild.running.engines.engine import AgentState
from guild.runtime import Guild, GuildStatus


async def run_guild(
    call: Call,
    request: str | None,
    data: Sequence[str],
    *,
    topic: str | None,
    conversation: str,
    timeout_s: float,
    only: Sequence[str] | None,
    http: Http = NO_HTTP,
    traces: bool = False,
) -> int:
    """Launch the guild; serve until SIGINT or SIGTERM, or answer one request and stop."""
    if data and not request:
        raise UsageError(f"what is {' '.join(data)!r} for? a request is named by --request TYPE")
    place = http.place(is_request=request is not None)
    plan = call.plan
    for warning in plan.warnings:
        call.output.note(f"warning: {warning}")
    chosen = None if only is None else [name for word in only for name in _names_in(word)]
    message = message_of(plan, request, data) if request else None
    if message is not None:
        topic = topic_for(plan, message, topic)
        require_answer(plan, topic, type(message))
        if chosen is not None and call.is_private:
            _check_handled_here(call, message, topic, chosen)
    launch = partial(
        Guild.launch,
        plan.spec,
        bus=call.bus,
        registry=call.registry,
        only=chosen,
        wait_s=call.typed.wait_s,
    )
    if message is None:
        call.show_logs()
        async with (
            sight_of(call, metrics=place is not None, traces=traces) as sight,
            launch(observer=sight.observer) as guild,
            gateway_beside(guild, call, place, http.tokens, metrics_of=sight.metrics_of),
        ):
            return await _serve(guild, call)
    with call.show_logs_of_a_request():
        async with (
            sight_of(call, metrics=False, traces=traces) as sight,
            launch(observer=sight.observer) as guild,
        ):
            ask = partial(
                guild.client.bus.stream,
                topic_for(plan, message, topic),
                message,
                timeout_s=timeout_s,
                conversation=conversation or conversation_of(message),
                whole_conversation=True,
            )
            answer = await _answer_of(ask, call)
    print_answer(answer, call.output)
    return OK


async def _answer_of(ask: Callable[..., AsyncGenerator[BaseModel, None]], call: Call) -> BaseModel:
    if call.is_private:  # its dead letters end with this process
        return await answer_of(ask, call.output, farewell="")
    farewell = "what is not finished goes on when the guild runs again"
    async with naming_the_letter(call):
        return await answer_of(ask, call.output, farewell=farewell)


def _names_in(word: str) -> list[str]:
    """The ids in one --only, which are parted by commas."""
    if names := [name.strip() for name in word.split(",") if name.strip()]:
        return names
    raise UsageError("--only names no agent: leave it out to run all of them")


def _check_handled_here(
    call: Call, message: BaseModel, topic: str, chosen: Collection[str]
) -> None:
    handlers = handlers_of(call.plan, type(message), topic)
    if handlers and not set(handlers) & set(chosen):
        raise UsageError(
            f"nothing would answer: {', '.join(handlers)} handles it, --only leaves that to other "
            f"processes, and none of them can reach the bus {call.bus}"
        )


async def _serve(guild: Guild, call: Call) -> int:
    """Wait for a signal. The first one drains, the second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)  # what is in hand is handled again at the next start
        stop.set()
        call.output.note("stopping: work in hand is finished or given back; again to stop at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    call.output.note(
        f"{call.plan.spec.id} is running on {call.place}: {', '.join(guild.agents)}; "
        "stop with Ctrl-C"
    )
    others = [agent for agent in call.plan.agents if agent not in guild.agents]
    if call.is_private:
        call.output.note("nobody outside this process can reach it; --bus embedded changes that")
        if others:
            call.output.note(f"warning: so nobody can run {', '.join(others)}")
    elif others:
        call.output.note(f"left to other processes: {', '.join(others)}")
    await stop.wait()
    if guild.status is not GuildStatus.DEGRADED:
        return OK
    for replica in guild.replicas:
        if replica.state is AgentState.FAILED:
            call.output.error(f"{replica.agent} was down for good: {replica.error}")
    return FAILED
