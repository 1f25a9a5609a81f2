"""`guildbus state`."""

import json
from typing import TYPE_CHECKING, Any

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, OK

if TYPE_CHECKING:
    from guild.client import GuildClient

_COLUMNS = ("agent", "key", "revision", "size_bytes")


async def list_state(
    call: Call, *, agent: str | None, with_the_buses_own: bool, count: int | None
) -> int:
    """List the keys of one agent, or of all; as JSON while they are read."""
    rows: list[dict[str, Any]] = []
    shown, has_more = 0, False
    agents = [agent] if agent is not None else [spec.id for spec in call.plan.spec.agents]
    async with call.client() as client:
        for each in agents:
            async for found in client.state(each).keys(with_the_buses_own=with_the_buses_own):
                if has_more := shown == count:
                    break
                shown += 1
                row = {"agent": each, **found._asdict()}
                if call.output.as_json:
                    call.output.json(row)
                else:
                    rows.append(row)
            if has_more:
                break
    if not call.output.as_json:
        rows.sort(key=lambda row: (agents.index(row["agent"]), row["key"]))
        call.output.rows(_COLUMNS, rows, f"{agent or call.plan.spec.id} keeps no state")
    if has_more:
        call.output.note(f"there are more than {count:,}: raise --count to see them")
    return OK


async def show_state(call: Call, agent: str, key: str) -> int:
    """Show the value of one key."""
    async with call.client() as client:
        return await _show(call, client, agent, key)


async def _show(call: Call, client: "GuildClient", agent: str, key: str) -> int:
    stored = await client.state(agent).show(key)
    if stored is None:
        listing = f"{call.command('state')} {agent}"
        call.output.error(f"{agent} keeps nothing under {key!r}; see: {listing}")
        return FAILED
    if call.output.as_json:
        call.output.json({"agent": agent, **stored._asdict()})
    else:
        call.output.text(json.dumps(stored.value, ensure_ascii=False, indent=2))
    return OK
