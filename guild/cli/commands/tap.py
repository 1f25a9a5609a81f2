"""`guildbus tap`."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from guild.cli.call import Call
from guild.cli.exit_codes import OK
from messaging.tap import Tapped


async def tap_topics(
    call: Call, patterns: Sequence[str], *, from_start: bool, count: int | None
) -> int:
    """Print messages as they pass until interrupted, or until `count` have passed."""
    output, seen = call.output, 0
    async with call.client() as client:
        output.note(f"tapping {', '.join(patterns)} of {call.plan.spec.id}; stop with Ctrl-C")
        async with aclosing(client.bus.tap(patterns, from_start=from_start)) as passing:
            async for tapped in passing:
                if output.as_json:
                    output.json(_document(tapped))
                else:
                    output.text(_line(tapped))
                seen += 1
                if seen == count:
                    break
    return OK


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
