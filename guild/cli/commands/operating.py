"""`guildbus pause`, `resume`, `drain`, `replay` and `forget`."""

from collections.abc import Sequence

from guild.cli.calling.call import Call
from guild.cli.calling.compose import time_of
from guild.cli.calling.exit_codes import OK, TIMEOUT, UsageError
from guild.running.strays import Forgotten
from guild.suggest import closest

_FORGOTTEN = ("agent", "topics", "waiting", "in_hand", "timers", "state_keys", "dead_letters")


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


async def replay_topic(
    call: Call, topic: str, *, agent: str, since: str | None, until: str | None, really: bool
) -> int:
    """Count what would be handed on, by type, and hand it on if that is wanted."""
    earliest, latest = time_of(since, "--from"), time_of(until, "--to")
    if earliest and latest and earliest >= latest:
        raise UsageError(f"no time is after --from {since} and before --to {until}")
    async with call.client() as client:
        found = await client.replay(
            topic, agent, since=earliest, until=latest, really=really, by=call.user
        )
        topics = [report.topic for report in await client.topics()]
    rows = [
        {"type": name, "messages": count, "to": agent} for name, count in found.handed_on.items()
    ]
    rows += [{"type": name, "messages": n, "to": None} for name, n in found.passed_over.items()]
    call.output.rows(("type", "messages", "to"), rows, _nothing(topic, topics))
    count = sum(found.handed_on.values())
    if really:
        call.output.note(f"replayed {count} of {topic} to {agent}")
    elif count:
        call.output.note("nothing was done; to do it, add --really")
    return OK


def _nothing(topic: str, topics: Sequence[str]) -> str:
    if topic in topics:
        return f"{topic} holds nothing of that time any more"
    hint = closest(topic, topics)
    return f"there is no topic {topic}" + (f"; did you mean {hint!r}?" if hint else "")


async def forget_agent(call: Call, agent: str, *, really: bool, quiet_s: float) -> int:
    """Say what would be lost with the agent, and unsubscribe it if that is wanted."""

    def tell_of_wait(wait_s: float) -> None:
        call.output.note(f"replicas of {agent} are registered; listening to them for {wait_s:g} s")

    async with call.client() as client:
        forgotten = await client.forget(
            agent, really=really, quiet_s=quiet_s, on_wait=tell_of_wait, by=call.user
        )
    call.output.rows(_FORGOTTEN, [_told(forgotten)], "")
    if forgotten.dead_letters:
        listing = f"{call.command('dead-letters list')} --agent {agent}"
        call.output.note(f"its dead letters stay, and cannot be requeued: {listing}")
    if really:
        call.output.note(f"{agent} is forgotten; nothing is kept for it any more")
    else:
        call.output.note(
            "nothing was done; to lose these messages, its retries, timers and state for good, "
            "add --really"
        )
    return OK


def _told(forgotten: Forgotten) -> dict[str, object]:
    return forgotten._asdict() | {"topics": list(forgotten.topics)}
