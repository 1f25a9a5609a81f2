"""`guildbus publish`, `request` and `tap`: talking to a guild that runs elsewhere."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from guild.cli.exit_codes import OK
from guild.cli.opening import bus_of, message_of, plan_of, topic_for
from guild.cli.output import Output
from guild.cli.watch import Watch
from messaging.message import wire_type_of
from messaging.tap import Tapped


async def publish_message(
    path: Path,
    type_name: str,
    data: Sequence[str],
    *,
    topic: str | None,
    bus: str | None,
    allow: Sequence[str],
    delay_s: float,
    as_json: bool,
) -> int:
    """Publish and print the id; a topic without listeners is a warning."""
    output = Output(as_json=as_json)
    plan = plan_of(path, bus=bus, allow=allow)
    message = message_of(plan, type_name, data)
    to = topic or topic_for(plan, message)
    async with bus_of(plan) as opened:
        message_id = await opened.publish(to, message, delay_s=delay_s)
        groups = await opened.groups()
    if not groups:
        output.note(f"warning: no agent of {plan.spec.id} has subscribed yet; start the guild")
    if as_json:
        output.json({"id": message_id, "topic": to, "type": str(wire_type_of(type(message)))})
    else:
        output.text(message_id)
    return OK


async def request_answer(
    path: Path,
    type_name: str,
    data: Sequence[str],
    *,
    topic: str | None,
    timeout_s: float,
    conversation: str,
    bus: str | None,
    allow: Sequence[str],
    as_json: bool,
) -> int:
    """Ask, show what is emitted meanwhile on stderr, and print the answer."""
    output = Output(as_json=as_json)
    plan = plan_of(path, bus=bus, allow=allow)
    message = message_of(plan, type_name, data)
    async with bus_of(plan) as opened:
        items = opened.stream(
            topic or topic_for(plan, message),
            message,
            timeout_s=timeout_s,
            conversation=conversation,
            whole_conversation=True,
        )
        answer = await last_of(items, output)
    print_answer(answer, output)
    return OK


async def last_of(items: AsyncIterator[BaseModel], output: Output) -> BaseModel:
    """Show all items but the last on stderr, and return the last, which is the answer."""
    answer: BaseModel | None = None
    with Watch(output.err) as watch:
        async for item in items:
            if answer is not None:
                watch.show(answer)
            answer = item
    assert answer is not None, "a stream ends with an answer or an error"
    return answer


def print_answer(answer: BaseModel, output: Output) -> None:
    """An answer that can draw itself (`__rich__`) does so; any other is shown as JSON."""
    if output.as_json:
        output.json(described(answer))
    elif hasattr(answer, "__rich__"):
        output.show(answer)
    else:
        output.text(answer.model_dump_json(indent=2))


async def tap_topics(
    path: Path,
    patterns: Sequence[str],
    *,
    from_start: bool,
    count: int | None,
    bus: str | None,
    allow: Sequence[str],
    as_json: bool,
) -> int:
    """Print messages as they pass until interrupted, or until `count` have passed."""
    output = Output(as_json=as_json)
    plan = plan_of(path, bus=bus, allow=allow)
    async with bus_of(plan) as opened:
        output.note(f"tapping {', '.join(patterns)} of {plan.spec.id}; stop with Ctrl-C")
        seen = 0
        async with aclosing(opened.tap(patterns, from_start=from_start)) as passing:  # type: ignore[type-var] # an async generator
            async for tapped in passing:
                _print_tapped(tapped, output)
                seen += 1
                if seen == count:
                    break
    return OK


def described(message: BaseModel) -> dict[str, Any]:
    """A message with its type, as plain data."""
    return {"type": str(wire_type_of(type(message))), "data": message.model_dump(mode="json")}


def _print_tapped(tapped: Tapped, output: Output) -> None:
    envelope = tapped.envelope
    if output.as_json:
        message = tapped.message
        output.json(
            {
                "topic": tapped.topic,
                "id": envelope.id,
                "type": envelope.type,
                "sender": envelope.sender,
                "cause": envelope.cause or None,
                "conversation": envelope.conversation_id,
                "attempt": envelope.attempt,
                "data": message.model_dump(mode="json") if message else None,
            }
        )
        return
    at = datetime.fromtimestamp(int(envelope.id[:12], 16) / 1000, UTC).astimezone()
    body = tapped.message.model_dump_json() if tapped.message else "(cannot be decoded)"
    sender = envelope.sender or "?"
    output.text(f"{at:%H:%M:%S.%f} {tapped.topic} {sender}: {envelope.type} {body}")
