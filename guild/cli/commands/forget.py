"""`guildbus forget`."""

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK
from guild.running.strays import Forgotten


async def forget_agent(call: Call, agent: str, *, really: bool, quiet_s: float) -> int:
    """Say what would be lost with the agent, and unsubscribe it if that is wanted."""

    def tell_of_wait(wait_s: float) -> None:
        call.output.note(f"replicas of {agent} are registered; listening to them for {wait_s:g} s")

    async with call.client() as client:
        forgotten = await client.forget(
            agent, really=really, quiet_s=quiet_s, on_wait=tell_of_wait, by=call.user
        )
    call.output.rows(_COLUMNS, [_row(forgotten)], "")
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


_COLUMNS = ("agent", "topics", "waiting", "in_hand", "timers", "state_keys", "dead_letters")


def _row(forgotten: Forgotten) -> dict[str, object]:
    return forgotten._asdict() | {"topics": list(forgotten.topics)}
