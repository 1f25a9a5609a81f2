"""`guildbus live`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, TIMEOUT
from guild.cli.printing.output import Output
from guild.live import LiveHandling, LiveHandlings, LiveSummary


async def watch_guild(call: Call, *, count: int | None, timeout_s: float | None) -> int:
    """Print what agents handle, until interrupted or until one of the limits is reached."""
    async with call.client() as client:
        call.output.note(f"watching {call.plan.spec.id}; stop with Ctrl-C")
        async with aclosing(client.live()) as live:
            try:
                async with asyncio.timeout(timeout_s) as limit:
                    await _print(live, call.output, count)
            except TimeoutError:
                if not limit.expired():
                    raise
                if count is None:
                    return OK
                call.output.error(f"fewer than {count} handlings ended in {timeout_s:g} s")
                return TIMEOUT
    return OK


async def _print(
    live: AsyncGenerator[LiveSummary | LiveHandlings, None], output: Output, count: int | None
) -> None:
    seen = 0
    async for message in live:
        if not isinstance(message, LiveHandlings):
            continue
        for row in message.rows:
            if output.as_json:
                output.json(row.model_dump(mode="json"))
            else:
                output.line(_line(row))
            seen += 1
            if seen == count:
                return
        if message.left_off:
            output.note(f"and {message.left_off:,} more, which are only counted")


def _line(row: LiveHandling) -> str:
    at = f"{datetime.fromtimestamp(row.at, UTC).astimezone():%H:%M:%S.%f}"[:-3]
    took = "" if row.handled_s is None else f" in {1000 * row.handled_s:.3g} ms"
    attempt = f" (attempt {row.attempt})" if row.attempt > 1 else ""
    error = f": {row.error}" if row.error else ""
    return f"{at} {row.agent}: {row.type} {row.id} {row.outcome}{took}{attempt}{error}"
