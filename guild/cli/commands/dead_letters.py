"""`guildbus dead-letters`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guild.cli.exit_codes import FAILED, OK
from guild.cli.opening import bus_of, plan_of
from guild.cli.output import Output
from messaging.backend import DeadLetter
from messaging.dead_letters import reason_of

_PAGE = 500


async def list_dead_letters(
    path: Path, *, agent: str | None, bus: str | None, allow: Sequence[str], as_json: bool
) -> int:
    """List them all, page by page."""
    output = Output(as_json=as_json)
    rows: list[dict[str, Any]] = []
    async with bus_of(plan_of(path, bus=bus, allow=allow)) as opened:
        after = ""
        while page := await opened.dead_letters.list(group=agent, after=after, max_count=_PAGE):
            rows += [_row(letter) for letter in page]
            after = page[-1].id
    output.rows(("id", "at", "agent", "topic", "type", "error"), rows, "no dead letters")
    return OK


async def show_dead_letter(
    path: Path, letter_id: str, *, bus: str | None, allow: Sequence[str], as_json: bool
) -> int:
    """Show everything that is known of one."""
    output = Output(as_json=as_json)
    async with bus_of(plan_of(path, bus=bus, allow=allow)) as opened:
        letter = await opened.dead_letters.show(letter_id)
    if letter is None:
        return _is_gone(output, letter_id)
    reason = reason_of(letter)
    if as_json:
        output.json(_row(letter) | {"reason": reason.model_dump(), "payload": _payload(letter)})
        return OK
    for key, value in _row(letter).items():
        output.text(f"{key:<8} {value}")
    output.text("payload  " + json.dumps(_payload(letter), ensure_ascii=False))
    for attempt in reason.attempts:
        output.text(f"attempt  {attempt.number} {attempt.error_type}: {attempt.text}")
    output.text(reason.traceback.rstrip())
    return OK


async def requeue_dead_letter(
    path: Path, letter_id: str, *, bus: str | None, allow: Sequence[str]
) -> int:
    """Hand it to its agent again."""
    output = Output()
    async with bus_of(plan_of(path, bus=bus, allow=allow)) as opened:
        if not await opened.dead_letters.requeue(letter_id):
            return _is_gone(output, letter_id)
    output.text(f"requeued {letter_id}")
    return OK


async def drop_dead_letter(
    path: Path, letter_id: str, reason: str, *, bus: str | None, allow: Sequence[str]
) -> int:
    """Forget it."""
    output = Output()
    async with bus_of(plan_of(path, bus=bus, allow=allow)) as opened:
        if not await opened.dead_letters.drop(letter_id, reason):
            return _is_gone(output, letter_id)
    output.text(f"dropped {letter_id}")
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


def _is_gone(output: Output, letter_id: str) -> int:
    output.error(f"there is no dead letter {letter_id}; `guildbus dead-letters list` shows all")
    return FAILED
