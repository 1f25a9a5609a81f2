"""`guildbus agents` and `topics`: what there is, and what waits for whom."""

from typing import Any

from guild.cli.call import Call
from guild.cli.exit_codes import OK
from guild.spec import AgentSpec
from guild.strays import Stray, replicas_of
from messaging.backend import TopicInfo
from messaging.bus import Bus


async def list_agents(call: Call) -> int:
    """List installed agent types, or a guild's agents with what waits for each."""
    if call.typed.spec is None:
        types = call.registry.agent_types.items()
        classes = [{"type": name, "class": value} for name, value in types]
        call.output.rows(("type", "class"), classes, "no agent types are installed")
        return OK
    async with call.client() as client:
        topics = await client.bus.backend.topics()
        paused = await client.bus.paused()
        rows = [
            await _agent(client.bus, agent, topics, is_paused=agent.id in paused)
            for agent in call.plan.spec.agents
        ]
        strays = await client.strays()
        rows += [_stray(stray, is_paused=stray.agent in paused) for stray in strays]
    columns = ("agent", "type", "topics", "state", "running", "waiting", "in_hand")
    call.output.rows(columns, rows, f"{call.plan.spec.id} has no agents")
    for stray in strays:
        command = f"{call.command('forget')} {stray.agent}"
        call.output.note(f"{problem_of(stray)}; if none does, forget it: {command}")
    return OK


async def list_topics(call: Call) -> int:
    """List the topics of a guild with what they hold, and who has still to take how much."""
    async with call.client() as client:
        topics = await client.bus.backend.topics()
    rows = [
        {"topic": info.topic, "entries": info.entries, "waiting": _owed(info)} for info in topics
    ]
    columns = ("topic", "entries", "waiting")
    call.output.rows(columns, rows, f"nothing was ever published to {call.plan.spec.id}")
    return OK


async def _agent(
    bus: Bus, agent: AgentSpec, topics: list[TopicInfo], *, is_paused: bool
) -> dict[str, Any]:
    return {
        "agent": agent.id,
        "type": agent.type,
        "topics": list(agent.topics),
        "state": "paused" if is_paused else "active",
        "running": await replicas_of(bus, agent.id),
        "waiting": sum(info.waiting.get(agent.id, 0) for info in topics),
        "in_hand": sum(info.pending.get(agent.id, 0) for info in topics),
    }


def problem_of(stray: Stray) -> str:
    """What is odd about an agent that is not in the spec, up to what to do about it."""
    return (
        f"{stray.agent} is subscribed and not in the spec; {stray.waiting + stray.in_hand:,} "
        "messages are kept for it, and publishers are refused when there are too many; "
        "another process may run it, with another version of the spec"
    )


def _stray(stray: Stray, *, is_paused: bool) -> dict[str, Any]:
    return {
        "agent": stray.agent,
        "type": "",
        "topics": list(stray.topics),
        "state": "not in the spec, paused" if is_paused else "not in the spec",
        "running": stray.running,
        "waiting": stray.waiting,
        "in_hand": stray.in_hand,
    }


def _owed(info: TopicInfo) -> dict[str, int]:
    """By agent, lent or not."""
    owed = {name: count + info.pending.get(name, 0) for name, count in info.waiting.items()}
    return {name: count for name, count in owed.items() if count}
