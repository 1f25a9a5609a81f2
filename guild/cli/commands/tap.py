"""`guildbus tap`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from guild.checking.parts import Parts
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, TIMEOUT, UsageError
from guild.cli.commands.replay import read_time
from guild.cli.printing.output import Output, some_of
from guild.client import GuildClient
from guild.suggest import closest
from messaging.client.tap import Tapped
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
        tap = client.bus.tap(patterns, from_start=from_start, follow=follow, since=earliest)
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


async def _print(passing: AsyncGenerator[Tapped, None], output: Output, count: int | None) -> None:
    seen = 0
    async for tapped in passing:
        if output.as_json:
            output.json(_document(tapped))
        else:
            output.text(_line(tapped))
        seen += 1
        if seen == count:
            return


async def _silences(
    call: Call, client: GuildClient, patterns: Sequence[str], *, follow: bool
) -> list[str]:
    """Why nothing may ever come of some of the patterns, a line each."""
    topics = [info.topic for info in await client.bus.backend.topics()]
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


def _document(tapped: Tapped) -> dict[str, Any]:
    envelope, message = tapped.envelope, tapped.message
    return {
        "topic": tapped.topic,
        "id": envelope.id,
        "at": _sent_at(tapped).isoformat(timespec="milliseconds"),
        "type": envelope.type,
        "sender": envelope.sender,
        "cause": envelope.cause or None,
        "conversation": envelope.conversation_id,
        "attempt": envelope.attempt,
        "data": message.model_dump(mode="json") if message else None,
    }


def _line(tapped: Tapped) -> str:
    at = f"{_sent_at(tapped):%H:%M:%S.%f}"[:-3]
    body = tapped.message.model_dump_json() if tapped.message else "(cannot be decoded)"
    sender, type_name = tapped.envelope.sender or "?", tapped.envelope.type
    return f"{at} {tapped.topic} {sender}: {type_name} {body}"


def _sent_at(tapped: Tapped) -> datetime:
    """The first 12 digits of an id are the milliseconds at which it was made."""
    return datetime.fromtimestamp(int(tapped.envelope.id[:12], 16) / 1000, UTC).astimezone()
