"""`guildbus pause`, `resume` and `drain`."""

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, TIMEOUT


async def pause_agent(call: Call, agent: str) -> int:
    """Pause it everywhere."""
    async with call.client() as client:
        await client.pause(agent, by=call.user)
    call.output.note(f"{agent} is paused; go on with: {call.command('resume')} {agent}")
    return OK


async def resume_agent(call: Call, agent: str) -> int:
    """Let it go on."""
    async with call.client() as client:
        was_paused = await client.resume(agent, by=call.user)
    call.output.note(f"{agent} goes on" if was_paused else f"{agent} was not paused")
    return OK


async def drain_agent(call: Call, agent: str, *, timeout_s: float) -> int:
    """Pause it and wait for what it has in hand."""
    async with call.client() as client:
        in_hand = await client.drain(agent, timeout_s=timeout_s, by=call.user)
    if in_hand:
        call.output.error(
            f"{agent} is paused, but after {timeout_s:g} s it still has {in_hand} in hand"
        )
        return TIMEOUT
    call.output.note(f"{agent} is drained; go on with: {call.command('resume')} {agent}")
    return OK
