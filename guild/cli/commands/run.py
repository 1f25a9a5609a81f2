"""`guildbus run`."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from guild.cli.commands.talk import last_of, print_answer
from guild.cli.exit_codes import FAILED, OK
from guild.cli.opening import message_of, plan_of, topic_for
from guild.cli.output import Output
from guild.plan import Plan
from guild.runtime import Guild, GuildStatus


async def run_guild(
    path: Path,
    *,
    request: str | None,
    data: Sequence[str],
    topic: str | None,
    conversation: str,
    timeout_s: float,
    bus: str | None,
    allow: Sequence[str],
    as_json: bool,
) -> int:
    """Launch the guild; serve until SIGINT or SIGTERM, or answer one request and stop.

    The first signal drains, a second one hurries.
    """
    output = Output(as_json=as_json)
    plan = plan_of(path, bus=bus, allow=allow)
    plan.check_installed()
    for warning in plan.warnings:
        output.note(f"warning: {warning}")
    message = message_of(plan, request, data) if request else None
    async with Guild.launch(plan.spec, allow=allow) as guild:
        if message is None:
            return await _serve(guild, plan, output)
        items = guild.client.stream(
            topic or topic_for(plan, message),
            message,
            timeout_s=timeout_s,
            conversation=conversation,
            whole_conversation=True,
        )
        answer = await last_of(items, output)
    print_answer(answer, output)
    return OK


async def _serve(guild: Guild, plan: Plan, output: Output) -> int:
    """Wait for a signal. The second one ends the process at once: what is in hand goes back."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set():
            signal.raise_signal(signal.SIGKILL)
        output.note("stopping: work in hand is finished or given back; again to stop at once")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    agents = ", ".join(plan.agents)
    output.note(f"{plan.spec.id} is running with {agents}; stop with Ctrl-C")
    await stop.wait()
    return FAILED if guild.status is GuildStatus.DEGRADED else OK
