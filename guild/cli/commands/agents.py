"""`guildbus agents` and `topics`: what there is, and what waits for whom."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK
from guild.cli.printing.output import some_of
from guild.running.strays import Stray, replicas_of
from guild.spec.spec import AgentSpec
from messaging.backend import TopicInfo
from messaging.bus import Bus

NOT_RUNNING = "not running"
MANY = 20

_AGENT_COLUMNS = ("agent", "state", "running", "waiting", "in_hand", "type", "topics")


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
    call.output.rows(_AGENT_COLUMNS, rows, f"{call.plan.spec.id} has no agents")
    if len(rows) > MANY:
        call.output.note(_summary(rows))
    absent = [row["agent"] for row in rows if row["state"] == NOT_RUNNING]
    if absent:
        call.output.note(f"nobody runs {some_of(absent)}; start: {call.command('run')}")
    for stray in strays:
        command = f"{call.command('forget')} {stray.agent}"
        call.output.note(f"{problem_of(stray)}; if none does, forget it: {command}")
    return OK


async def list_topics(call: Call) -> int:
    """List the topics of a guild with what they hold, and who has still to take how much.

    `oldest_s` is for how long each agent has not settled what came to the topic first.
    """
    async with call.client() as client:
        topics = await client.bus.backend.topics()
    rows = [
        {
            "topic": info.topic,
            "entries": info.entries,
            "waiting": _owed(info),
            "oldest_s": {agent: round(age_s, 1) for agent, age_s in info.oldest_s.items()},
        }
        for info in topics
    ]
    columns = ("topic", "entries", "waiting", "oldest_s")
    call.output.rows(columns, rows, f"nothing was ever published to {call.plan.spec.id}")
    return OK


async def _agent(
    bus: Bus, agent: AgentSpec, topics: list[TopicInfo], *, is_paused: bool
) -> dict[str, Any]:
    running = await replicas_of(bus, agent.id)
    return {
        "agent": agent.id,
        "type": agent.type,
        "topics": list(agent.topics),
        "state": "paused" if is_paused else "active" if running else NOT_RUNNING,
        "running": running,
        "waiting": sum(info.waiting.get(agent.id, 0) for info in topics),
        "in_hand": sum(info.pending.get(agent.id, 0) for info in topics),
    }


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    """What a person looks for in a table that does not fit a screen."""
    states = Counter(row["state"] for row in rows)
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    waiting, in_hand = (sum(row[name] for row in rows) for name in ("waiting", "in_hand"))
    return f"{len(rows):,} agents: {told}; {waiting:,} messages wait, {in_hand:,} are in hand"


def problem_of(stray: Stray) -> str:
    """What is odd about an agent that is not in the spec, up to what to do about it."""
    owed = stray.waiting + stray.in_hand
    kept = "1 message is kept" if owed == 1 else f"{owed:,} messages are kept"
    return (
        f"{stray.agent} is subscribed and not in the spec; {kept} for it, and publishers are "
        "refused when there are too many; "
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
