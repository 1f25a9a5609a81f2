"""The agents: looked at, paused, resumed, drained."""

from collections.abc import Sequence

from pydantic import Field

from guild.gateway.endpoint import Call
from guild.gateway.routes.shapes import Given, TimeoutS
from guild.operations.agents import AgentInfo
from guild.operations.view import View
from messaging.bus import DEFAULT_TIMEOUT_S


class Draining(Given):
    """How to drain an agent."""

    timeout_s: TimeoutS = Field(default=DEFAULT_TIMEOUT_S, le=3600.0)


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
