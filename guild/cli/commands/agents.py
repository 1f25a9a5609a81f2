"""`guildbus agents`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guild.cli.exit_codes import OK
from guild.cli.opening import bus_of, plan_of
from guild.cli.output import Output
from guild.registry import Registry


async def list_agents(
    path: Path | None, *, bus: str | None, allow: Sequence[str], as_json: bool
) -> int:
    """List installed agent types, or a guild's agents with what waits for each."""
    output = Output(as_json=as_json)
    if path is None:
        types = Registry(allow).agent_types.items()
        classes = [{"type": name, "class": value} for name, value in types]
        output.rows(("type", "class"), classes, "no agent types are installed")
        return OK
    plan = plan_of(path, bus=bus, allow=allow)
    async with bus_of(plan) as opened:
        topics = await opened.backend.topics()
        subscribed = await opened.groups()
    rows: list[dict[str, Any]] = [
        {
            "agent": agent.id,
            "type": agent.type,
            "topics": list(agent.topics),
            "subscribed": "yes" if agent.id in subscribed else "no",
            "waiting": sum(info.waiting.get(agent.id, 0) for info in topics),
            "in hand": sum(info.pending.get(agent.id, 0) for info in topics),
        }
        for agent in plan.spec.agents
    ]
    columns = ("agent", "type", "topics", "subscribed", "waiting", "in hand")
    output.rows(columns, rows, f"{plan.spec.id} has no agents")
    return OK
