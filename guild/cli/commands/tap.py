"""`guildbus tap`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json

from guild.checking.parts import Parts
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, TIMEOUT, UsageError
from guild.cli.commands.replay import read_time
from guild.cli.printing.output import Output, some_of
from guild.client import GuildClient
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
    output, earliest = call.output, read_time(since, "--since")
    if earliest and from_start:
        raise UsageError("give --from-start or --since, not both")
    async with call.client() as client:
        tap = client.messages(patterns, from_start=from_start, follow=follow, since=earliest)
        for silence in await _silences(call, client, patterns, follow=follow):
            output.note(silence)
        if follow:
            output.note(f"tapping {', '.join(patterns)} of {call.plan.spec.id}; stop with Ctrl-C")
        async with aclosing(tap) as passing:
            try:
                async with asyncio.timeout(timeout_s) as limit:
                    await _print(passing, output, count)
            except TimeoutError:
                if not limit.expired():
                    raise
                if count is None:
                    return OK
                output.error(f"fewer than {count} messages passed in {timeout_s:g} s")
                return TIMEOUT
    return OK


async def _print(
    passing: AsyncGenerator[MessageSeen, None], output: Output, count: int | None
) -> None:
    seen = 0
    async for message in passing:
        if output.as_json:
            output.json(_document(message))
        else:
            output.line(_line(message))
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


def _line(message: MessageSeen) -> str:
    at = f"{message.at.astimezone():%H:%M:%S.%f}"[:-3] if message.at else "?"
    body = "(cannot be decoded)" if message.data is None else to_json(message.data).decode()
    return f"{at} {message.topic} {message.sender or '?'}: {message.type} {body}"
