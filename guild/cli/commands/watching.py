"""`guildbus tap` and `live`: what passes, and what becomes of it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from guild.checking.parts import Parts
from guild.cli.calling.call import Call
from guild.cli.calling.compose import time_of
from guild.cli.calling.exit_codes import OK, TIMEOUT, UsageError
from guild.cli.printing.output import Output, some_of
from guild.client import GuildClient
from guild.live import LiveHandling, LiveHandlings, LiveSummary
from guild.operations.passing import MessageSeen
from guild.suggest import closest
from messaging.wire.topic import EVENTS_TOPIC, is_pattern, matches


async def tap_topics(
    call: Call,
    patterns: Sequence[str],
    *,
    from_start: bool,
    follow: bool,
    since: str | None,
    count: int | None,
    timeout_s: float | None,
) -> int:
    """Print messages as they pass, until interrupted or until one of the limits is reached."""
    output, earliest = call.output, time_of(since, "--since")
    if earliest and from_start:
        raise UsageError("give --from-start or --since, not both")
    async with call.client() as client:
        tap = client.messages(patterns, from_start=from_start, follow=follow, since=earliest)
        for silence in await _silences(call, client, patterns, follow=follow):
            output.note(silence)
        if follow:
            output.note(f"tapping {', '.join(patterns)} of {call.plan.spec.id}; stop with Ctrl-C")
        async with aclosing(tap) as passing:
            printing = _print_messages(passing, output, count)
            return await _within(timeout_s, printing, output, f"{count} messages passed", count)


async def _print_messages(
    passing: AsyncGenerator[MessageSeen, None], output: Output, count: int | None
) -> None:
    seen = 0
    async for message in passing:
        if output.as_json:
            output.json(_document(message))
        else:
            output.line(_line_of(message))
        seen += 1
        if seen == count:
            return


async def _silences(
    call: Call, client: GuildClient, patterns: Sequence[str], *, follow: bool
) -> list[str]:
    """Why nothing may ever come of some of the patterns, a line each."""
    topics = [report.topic for report in await client.topics()]
    existing = {topic for topic in topics if not topic.startswith("_")}
    wanted = [pattern for pattern in patterns if not pattern.startswith("_")]
    empty = [each for each in wanted if not any(matches(each, topic) for topic in existing)]
    named = Parts.of(call.plan.spec).topics_named | {EVENTS_TOPIC}
    waits = "; it is waited for" if follow else ""
    return [_silence(call.plan.spec.id, pattern, existing, named) + waits for pattern in empty]


def _silence(guild: str, pattern: str, existing: set[str], named: set[str]) -> str:
    is_named = any(matches(name, pattern) or matches(pattern, name) for name in named)
    if is_named or pattern == ">":
        return f"nothing was published to {pattern} yet"
    names = sorted({*existing, *(name for name in named if not is_pattern(name))})
    hint = closest(pattern, names)
    there = f"did you mean {hint!r}?" if hint else f"there are: {some_of(names)}"
    return (
        f"warning: {guild} has no topic {pattern}: nobody listens to it and nothing was published "
        f"to it yet; {there}"
    )


def _document(message: MessageSeen) -> dict[str, Any]:
    at = message.at.astimezone().isoformat(timespec="milliseconds") if message.at else None
    return {**dict(message), "at": at}


def _line_of(message: MessageSeen) -> str:
    at = f"{message.at.astimezone():%H:%M:%S.%f}"[:-3] if message.at else "?"
    body = "(cannot be decoded)" if message.data is None else to_json(message.data).decode()
    return f"{at} {message.topic} {message.sender or '?'}: {message.type} {body}"


async def watch_guild(call: Call, *, count: int | None, timeout_s: float | None) -> int:
    """Print what agents handle, until interrupted or until one of the limits is reached."""
    async with call.client() as client:
        call.output.note(f"watching {call.plan.spec.id}; stop with Ctrl-C")
        async with aclosing(client.live()) as live:
            printing = _print_handlings(live, call.output, count)
            wanted = f"{count} handlings ended"
            return await _within(timeout_s, printing, call.output, wanted, count)


async def _print_handlings(
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


async def _within(
    timeout_s: float | None,
    printing: Coroutine[Any, Any, None],
    output: Output,
    wanted: str,
    count: int | None,
) -> int:
    """Print until enough was seen or the time is over; the status of the command."""
    try:
        async with asyncio.timeout(timeout_s) as limit:
            await printing
    except TimeoutError:
        if not limit.expired():
            raise
        if count is not None:
            output.error(f"fewer than {wanted} in {timeout_s:g} s")
            return TIMEOUT
    return OK
