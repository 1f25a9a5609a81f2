"""`guildbus agents` and `topics`: what there is, and what waits for whom."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK
from guild.cli.printing.output import some_of
from guild.operations.agents import AgentInfo

MANY = 20

_COLUMNS = ("agent", "state", "running", "waiting", "in_hand", "type", "topics")
_TOLD = ("agent", "type", "topics", "state", "running", "waiting", "in_hand")


async def list_agents(call: Call) -> int:
    """List installed agent types, or a guild's agents with what waits for each."""
    if call.typed.spec is None:
        types = call.registry.agent_types.items()
        classes = [{"type": name, "class": value} for name, value in types]
        call.output.rows(("type", "class"), classes, "no agent types are installed")
        return OK
    async with call.client() as client:
        agents = await client.agents()
    rows = [_row(agent) for agent in agents]
    call.output.rows(_COLUMNS, rows, f"{call.plan.spec.id} has no agents")
    if len(agents) > MANY:
        call.output.note(_summary(agents))
    absent = [agent.agent for agent in agents if agent.state == "not running"]
    if absent:
        call.output.note(f"nobody runs {some_of(absent)}; start: {call.command('run')}")
    for agent in agents:
        if agent.is_stray:
            command = f"{call.command('forget')} {agent.agent}"
            call.output.note(f"{agent.problem}; if none does, forget it: {command}")
    return OK


async def list_topics(call: Call) -> int:
    """List the topics of a guild with what they hold, and who has still to take how much.

    `oldest_s` is for how long each agent has not settled what came to the topic first.
    """
    async with call.client() as client:
        topics = await client.topics()
    rows = [
        {
            "topic": topic.topic,
            "entries": topic.entries,
            "waiting": topic.owed,
            "oldest_s": {agent: round(age_s, 1) for agent, age_s in topic.oldest_s.items()},
        }
        for topic in topics
    ]
    columns = ("topic", "entries", "waiting", "oldest_s")
    call.output.rows(columns, rows, f"nothing was ever published to {call.plan.spec.id}")
    return OK


def _row(agent: AgentInfo) -> dict[str, Any]:
    told = agent.model_dump(mode="json")
    return {name: told[name] for name in _TOLD}


def _summary(agents: Sequence[AgentInfo]) -> str:
    """What a person looks for in a table that does not fit a screen."""
    states = Counter(agent.state for agent in agents)
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    waiting = sum(agent.waiting for agent in agents)
    in_hand = sum(agent.in_hand for agent in agents)
    return f"{len(agents):,} agents: {told}; {waiting:,} messages wait, {in_hand:,} are in hand"
