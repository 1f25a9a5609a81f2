"""`guildbus dead-letters`."""

import json
from datetime import UTC, datetime
from typing import Any

from guild.cli.call import Call
from guild.cli.exit_codes import FAILED, OK
from messaging.backend import DeadLetter
from messaging.dead_letters import reason_of

_PAGE = 500


async def list_dead_letters(call: Call, *, agent: str | None) -> int:
    """List them all, page by page."""
    rows: list[dict[str, Any]] = []
    async with call.client() as client:
        after = ""
        letters = client.bus.dead_letters
        while page := await letters.list(group=agent, after=after, max_count=_PAGE):
            rows += [_row(letter) for letter in page]
            after = page[-1].id
    call.output.rows(("id", "at", "agent", "topic", "type", "error"), rows, "no dead letters")
    return OK


async def show_dead_letter(call: Call, letter_id: str) -> int:
    """Show everything that is known of one."""
    async with call.client() as client:
        letter = await client.bus.dead_letters.show(letter_id)
    if letter is None:
        return _is_gone(call, letter_id)
    reason, output = reason_of(letter), call.output
    if output.as_json:
        output.json(_row(letter) | {"reason": reason.model_dump(), "payload": _payload(letter)})
        return OK
    for key, value in _row(letter).items():
        output.text(f"{key:<8} {value}")
    output.text("payload  " + json.dumps(_payload(letter), ensure_ascii=False))
    for attempt in reason.attempts:
        output.text(f"attempt  {attempt.number} {attempt.error_type}: {attempt.text}")
    output.text(reason.traceback.rstrip())
    return OK


async def requeue_dead_letter(call: Call, letter_id: str) -> int:
    """Hand it to its agent again."""
    async with call.client() as client:
        if not await client.bus.dead_letters.requeue(letter_id):
            return _is_gone(call, letter_id)
    call.output.note(f"requeued {letter_id}")
    return OK


async def drop_dead_letter(call: Call, letter_id: str, *, reason: str) -> int:
    """Forget it."""
    async with call.client() as client:
        if not await client.bus.dead_letters.drop(letter_id, reason):
            return _is_gone(call, letter_id)
    call.output.note(f"dropped {letter_id}")
    return OK


def _row(letter: DeadLetter) -> dict[str, Any]:
    reason = reason_of(letter)
    return {
        "id": letter.id,
        "at": datetime.fromtimestamp(letter.at, UTC).astimezone().isoformat(timespec="seconds"),
        "agent": letter.group,
        "topic": letter.envelope.published_to,
        "type": letter.envelope.type,
        "message": letter.envelope.id,
        "error": f"{reason.error_type}: {reason.text}",
    }


def _payload(letter: DeadLetter) -> Any:
    payload = letter.envelope.payload
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")


def _is_gone(call: Call, letter_id: str) -> int:
    listing = call.command("dead-letters list")
    call.output.error(f"there is no dead letter {letter_id}; see: {listing}")
    return FAILED
