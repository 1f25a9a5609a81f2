"""`guildbus dead-letters`."""

import json
import re
from collections.abc import AsyncIterable, Sequence
from datetime import datetime
from typing import Any

from guild.cli.calling.call import Call
from guild.cli.calling.compose import fields_of
from guild.cli.calling.exit_codes import FAILED, OK, UsageError
from guild.errors import LetterNotFoundError
from guild.operations.letters import KINDS, LetterInfo
from guild.suggest import closest
from messaging.backend import FROM_START
from messaging.client.dead_letters import Wanted
from messaging.errors import InvalidMessageError

_COLUMNS = ("id", "at", "agent", "topic", "type", "error")
_LETTER_ID = re.compile(r"\d{1,20}(-\d{1,19})?")


async def list_dead_letters(
    call: Call, *, wanted: Wanted, after: str | None, count: int | None
) -> int:
    """List those that fit, at most `count` behind the id `after`; as JSON while they are read."""
    if after is not None and not _LETTER_ID.fullmatch(after):
        raise UsageError(
            f"--after wants the id of a dead letter, as the list shows it; not {after!r}"
        )
    rows: list[dict[str, Any]] = []
    shown, has_more = 0, False
    async with call.client() as client:
        async for letter in client.each_letter(wanted, after=after or FROM_START):
            if has_more := shown == count:
                break
            shown, last = shown + 1, letter.id
            if call.output.as_json:
                call.output.json(_row(letter))
            else:
                rows.append(_row(letter))
    if not call.output.as_json:
        call.output.rows(_COLUMNS, rows, _none(call, wanted), ends_in_text=True)
    if has_more:
        call.output.note(f"there are more behind these: add --after {last}")
    return OK


async def count_dead_letters(call: Call, *, by: Sequence[str], wanted: Wanted) -> int:
    """Count those that fit, by what they have in common."""
    by = [kind.strip() for kind in by]
    if odd := set(by) - set(KINDS):
        raise UsageError(f"dead letters are grouped by {', '.join(KINDS)}, not by {odd.pop()!r}")
    async with call.client() as client:
        groups = await client.letter_groups(by, wanted)
    times = ("first_at", "last_at")
    rows = [
        dict(group) | {time: _local(getattr(group, time)) for time in times} for group in groups
    ]
    columns = ("letters", *(kind for kind in KINDS if kind in by), *times)
    shown = [{name: row[name] for name in columns} for row in rows]
    call.output.rows(columns, shown, _none(call, wanted))
    return OK


async def show_dead_letter(call: Call, letter_id: str) -> int:
    """Show everything that is known of one."""
    try:
        async with call.client() as client:
            letter = await client.letter(letter_id)
    except LetterNotFoundError:
        return _is_gone(call, letter_id)
    reason, output = letter.reason, call.output
    if output.as_json:
        output.json(_row(letter) | {"reason": reason.model_dump(), "payload": letter.payload})
        return OK
    for key, value in _row(letter).items():
        output.line(f"{key:<8} {value}")
    output.line("payload  " + json.dumps(letter.payload, ensure_ascii=False))
    for attempt in reason.attempts:
        number = attempt.number or "-"
        output.line(f"attempt  {number} {attempt.error_type}: {attempt.text}")
    for line in reason.traceback.rstrip().splitlines():
        output.line(line)
    return OK


async def requeue_dead_letter(call: Call, letter_id: str, edit: Sequence[str]) -> int:
    """Hand it to its agent again, changed or as it was."""
    changes, payload = _edited(edit)
    try:
        async with call.client() as client:
            await client.requeue(letter_id, edit=changes, payload=payload, by=call.user)
    except LetterNotFoundError:
        return _is_gone(call, letter_id)
    call.output.note(f"requeued {letter_id}")
    return OK


async def requeue_dead_letters(call: Call, *, wanted: Wanted, really: bool) -> int:
    """Hand all that fit to their agents again, or say which they are."""
    async with call.client() as client:
        requeued = client.requeue_all(wanted, really=really, by=call.user)
        await _show(call, requeued, wanted, "requeue", "requeued" if really else "")
    return OK


async def drop_dead_letter(call: Call, letter_id: str, *, reason: str) -> int:
    """Forget it."""
    _check_reason(reason)
    try:
        async with call.client() as client:
            await client.drop(letter_id, reason, by=call.user)
    except LetterNotFoundError:
        return _is_gone(call, letter_id)
    call.output.note(f"dropped {letter_id}")
    return OK


async def drop_dead_letters(call: Call, *, wanted: Wanted, reason: str, really: bool) -> int:
    """Forget all that fit, or say which they are."""
    _check_reason(reason)
    async with call.client() as client:
        dropped = client.drop_all(wanted, reason, really=really, by=call.user)
        await _show(call, dropped, wanted, "drop", "dropped" if really else "")
    return OK


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("--reason is empty: say why the message is not wanted any more")


async def _show(
    call: Call, letters: AsyncIterable[LetterInfo], wanted: Wanted, act: str, done: str
) -> None:
    """Show all of `letters` and what was `done` to them; "" for nothing yet."""
    rows: list[dict[str, Any]] = []
    try:
        async for letter in letters:
            rows.append(_row(letter))  # noqa: PERF401 - those before an error are told, too
    finally:
        call.output.rows(_COLUMNS, rows, _none(call, wanted), ends_in_text=True)
        if rows and done:
            call.output.note(f"{done} {len(rows):,} dead letters")
        elif rows:
            call.output.note(f"nothing was done; to {act} these {len(rows):,}, add --yes")


def _none(call: Call, wanted: Wanted) -> str:
    """That there is nothing, and that a name may be why."""
    agents = tuple(call.plan.agents)
    if wanted.agent is None or wanted.agent in agents:
        return "no dead letters"
    hint = closest(wanted.agent, agents)
    meant = f"; did you mean {hint!r}?" if hint else ""
    return f"no dead letters of {wanted.agent}, which is no agent of the spec{meant}"


def _row(letter: LetterInfo) -> dict[str, Any]:
    return {
        "id": letter.id,
        "at": _local(letter.at),
        "agent": letter.agent,
        "topic": letter.topic,
        "type": letter.type,
        "message": letter.message_id,
        "error": f"{letter.error_type}: {letter.error}",
    }


def _local(at: datetime) -> str:
    return at.astimezone().isoformat(timespec="seconds")


def _edited(words: Sequence[str]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The fields that get other values, or the whole message in place of the old one."""
    if not words:
        return None, None
    fields = fields_of("edit", words)
    if not isinstance(fields, dict):
        raise InvalidMessageError("edit", ("message: it is not a JSON object",))
    is_whole = len(words) == 1 and (words[0] == "-" or words[0][:1] in ("{", "@"))
    return (None, fields) if is_whole else (fields, None)


def _is_gone(call: Call, letter_id: str) -> int:
    listing = call.command("dead-letters list")
    call.output.error(f"there is no dead letter {letter_id}; see: {listing}")
    return FAILED
