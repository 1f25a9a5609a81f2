"""The agents: looked at, paused, resumed, drained, given messages again, forgotten."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AwareDatetime, Field

from guild.gateway.endpoint import Call
from guild.gateway.routes.shapes import Given, TimeoutS
from guild.operations.agents import AgentInfo
from guild.operations.view import View
from guild.running.strays import DEFAULT_LEASE_S
from messaging.bus import DEFAULT_TIMEOUT_S


class Draining(Given):
    """How to drain an agent."""

    timeout_s: TimeoutS = Field(default=DEFAULT_TIMEOUT_S, le=3600.0)


class Replaying(Given):
    """What an agent is handed once more; nothing is, unless `really`."""

    topic: Annotated[str, Field(max_length=1000, description="Whose messages.")]
    since: Annotated[
        AwareDatetime | None, Field(description="Only what was made from then on.")
    ] = None
    until: Annotated[AwareDatetime | None, Field(description="Only what was made before.")] = None
    really: bool = False


class Forgetting(Given):
    """How an agent is forgotten that was taken out of the spec; it is not, unless `really`."""

    really: bool = False
    quiet_s: Annotated[
        float,
        Field(gt=0.0, le=3600.0, description="Its lease: so long its replicas have to be silent."),
    ] = DEFAULT_LEASE_S


class Done(View):
    """That it was done, to what."""

    act: str
    agent: str


class Drained(Done):
    """What became of a drain; the agent stays paused.

    Attributes:
        in_hand: messages that were still in hand when the time was over; 0 when it is drained.
    """

    in_hand: int


class Replayed(View):
    """What was handed to an agent again, or would be.

    Attributes:
        handed_on: how many of each type; they come as new messages.
        passed_over: how many of each type that the agent does not handle.
        really: whether it was done.
    """

    agent: str
    handed_on: Mapping[str, int]
    passed_over: Mapping[str, int]
    really: bool


class Forgotten(View):
    """What forgetting an agent costs; its dead letters stay.

    Attributes:
        timers: that are set.
        state_keys: of its state.
        really: whether it was done.
    """

    agent: str
    topics: tuple[str, ...]
    waiting: int
    in_hand: int
    timers: int
    state_keys: int
    dead_letters: int
    really: bool


async def list_agents(call: Call[None, None]) -> Sequence[AgentInfo]:
    return await call.client.agents()


async def show_agent(call: Call[None, None]) -> AgentInfo:
    return await call.client.agent(call.path["id"])


async def pause_agent(call: Call[None, None]) -> Done:
    await call.client.pause(call.path["id"], by=call.caller.name)
    return Done(act="pause", agent=call.path["id"])


async def resume_agent(call: Call[None, None]) -> Done:
    await call.client.resume(call.path["id"], by=call.caller.name)
    return Done(act="resume", agent=call.path["id"])


async def drain_agent(call: Call[Draining, None]) -> Drained:
    draining = call.client.drain(
        call.path["id"], timeout_s=call.body.timeout_s, by=call.caller.name
    )
    in_hand = await call.unless_gone(draining)
    return Drained(act="drain", agent=call.path["id"], in_hand=in_hand)


async def replay_messages(call: Call[Replaying, None]) -> Replayed:
    body, agent = call.body, call.path["id"]
    replayed = await call.client.replay(
        body.topic,
        agent,
        since=body.since,
        until=body.until,
        really=body.really,
        by=call.caller.name,
    )
    return Replayed(agent=agent, **replayed._asdict(), really=body.really)


async def forget_agent(call: Call[Forgetting, None]) -> Forgotten:
    body = call.body
    forgetting = call.client.forget(
        call.path["id"], really=body.really, quiet_s=body.quiet_s, by=call.caller.name
    )
    costs = (await forgetting)._asdict()
    return Forgotten(really=costs.pop("is_done"), **costs)
