"""Puts together what was found of a conversation: its steps in order, and how each went."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from guild.checking.plan import Plan
from guild.live.messages import LiveHandling
from guild.operations.conversation import (
    Conversation,
    ConversationStep,
    StepHandling,
    StepState,
)
from guild.operations.gathering import Findings, gather
from guild.operations.passing import made_at
from messaging.backend import DeadLetter
from messaging.bus import Bus
from messaging.errors import MessagingError
from messaging.handling.failure_record import Attempt, reason_of
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope

LONGEST_ID = 200
_LATE = datetime.max.replace(tzinfo=UTC)
OVER = ("handled", "ignored", "cancelled")
"""Outcomes behind which nothing comes."""

URGENT: Sequence[StepState] = (
    "failed",
    "retried",
    "waiting",
    "in hand",
    "unknown",
    "cancelled",
    "handled",
    "settled",
)
_AS_STEP: Mapping[str, StepState] = {
    "dead_lettered": "failed",
    "ignored": "handled",
    "left_to_others": "retried",
    "conflicted": "in hand",
    "interrupted": "in hand",
    **{state: state for state in URGENT},
}


async def retrace(bus: Bus, plan: Plan, wanted: str) -> Conversation:
    """What is still known of a conversation; see `Operations.conversation`."""
    if not wanted.isprintable() or len(wanted) > LONGEST_ID:  # no envelope could carry it
        return Conversation(id=repr(wanted[:LONGEST_ID]), steps=())
    agents = [agent.id for agent in plan.spec.agents]
    found = await gather(bus, agents, wanted)
    named = found.conversation_of
    conversation = named.get(wanted, wanted)
    if conversation != wanted:
        found = await gather(bus, agents, conversation)
    return _Retraced(found, Decoder(plan.messages)).conversation(conversation)


class _Origin(NamedTuple):
    """What is known of a message itself."""

    id: str
    cause: str = ""
    type: str = ""
    topic: str = ""
    sender: str = ""
    trace: str = ""


class _Retraced:
    def __init__(self, found: Findings, decoder: Decoder) -> None:
        self._found = found
        self._decoder = decoder
        self._envelopes: dict[str, Envelope] = {}
        self._origins: dict[str, _Origin] = {}
        self._held: dict[tuple[str, str], tuple[str, int]] = {}
        self._rows: dict[tuple[str, str], LiveHandling] = {}
        self._letters: dict[tuple[str, str], DeadLetter] = {}
        for message_id, _ in found.histories:
            self._origins.setdefault(message_id, _Origin(message_id))
        for row in found.rows:
            self._take_row(row)
        for envelope in (*(each.envelope for each in found.letters), *found.answers):
            self._take_envelope(envelope)
        for held in found.held:
            self._take_envelope(held.envelope)
            for agent, state in held.agents.items():
                self._take_place(held.envelope, agent, state)
        for letter in found.letters:
            self._letters[letter.envelope.id, letter.group] = letter

    def conversation(self, conversation_id: str) -> Conversation:
        answers = {envelope.id for envelope in self._found.answers}
        steps = [
            self._step(origin, is_answer=origin.id in answers)
            for origin in _causes_first(self._origins, conversation_id, self._at)
        ]
        troubled = [
            step.id for state in ("failed", "retried") for step in steps if step.state == state
        ]
        return Conversation(
            id=conversation_id,
            steps=tuple(steps),
            failed_first=next(iter(troubled), ""),
            is_whole=self._found.is_whole,
        )

    def _take_row(self, row: LiveHandling) -> None:
        self._origins[row.id] = _Origin(
            row.id, row.cause, row.type, row.topic, row.sender, row.trace
        )
        self._rows[row.id, row.agent] = row  # the last one counts

    def _take_envelope(self, envelope: Envelope) -> None:
        self._envelopes[envelope.id] = envelope
        self._origins[envelope.id] = _Origin(
            envelope.id,
            envelope.cause,
            envelope.type,
            envelope.published_to,
            envelope.sender,
            envelope.trace,
        )

    def _take_place(self, envelope: Envelope, agent: str, state: str) -> None:
        """A retry lies in a topic of the agent's own, and says more than where it was first."""
        key = (envelope.id, agent)
        if key not in self._held or envelope.attempt >= self._held[key][1]:
            self._held[key] = (state, envelope.attempt)

    def _step(self, origin: _Origin, *, is_answer: bool) -> ConversationStep:
        agents = tuple(self._handling(origin.id, agent) for agent in self._agents_of(origin.id))
        envelope = self._envelopes.get(origin.id)
        states = {_AS_STEP.get(each.state, "unknown") for each in agents}
        state: StepState = "answered" if is_answer else "unheard"
        return ConversationStep(
            **origin._asdict(),
            at=self._at(origin.id),
            state=next((each for each in URGENT if each in states), state),
            agents=agents,
            data=None if envelope is None else self._data(envelope),
        )

    def _at(self, message_id: str) -> datetime | None:
        """When it was made; when its first handling began that was watched, for an id that tells
        no time.
        """
        if made := made_at(message_id):
            return made
        began = [
            row.at - (row.handled_s or 0.0)
            for (each, _), row in self._rows.items()
            if each == message_id
        ]
        return datetime.fromtimestamp(min(began), UTC) if began else None

    def _agents_of(self, message_id: str) -> Iterable[str]:
        known = (*self._held, *self._rows, *self._letters, *self._found.histories)
        return sorted({agent for each, agent in known if each == message_id})

    def _handling(self, message_id: str, agent: str) -> StepHandling:
        key = (message_id, agent)
        letter, row = self._letters.get(key), self._rows.get(key)
        history = _attempts(self._found.histories.get(key, ()))
        state, attempt = self._held.get(key, ("", 1))
        error = row.error if row else ""
        if letter is not None:
            reason = reason_of(letter)
            state, error = "failed", f"{reason.error_type}: {reason.text}"
            history = _attempts(reason.attempts)
        elif row is not None and row.outcome in OVER:
            state = row.outcome
        elif history and state in ("", "settled", "unknown"):
            state = "retried"
        elif state in ("waiting", "in hand"):
            state = "retried" if history and state == "waiting" else state
        elif row is not None:
            state = row.outcome
        return StepHandling(
            agent=agent,
            state=state or "unknown",
            attempts=max(_last_number(history), row.attempt if row else 0, attempt - 1),
            waited_s=row.waited_s if row else None,
            handled_s=row.handled_s if row else None,
            error=error or _last_error(history),
            letter_id=letter.id if letter else "",
        )

    def _data(self, envelope: Envelope) -> Any:
        try:
            return self._decoder.read(envelope).model_dump(mode="json")
        except MessagingError:
            return None


def _attempts(history: Sequence[Attempt]) -> Sequence[Attempt]:
    """Those that failed; a requeue does not count."""
    return [each for each in history if each.number]


def _last_number(history: Sequence[Attempt]) -> int:
    return history[-1].number if history else 0


def _last_error(history: Sequence[Attempt]) -> str:
    return f"{history[-1].error_type}: {history[-1].text}" if history else ""


def _causes_first(
    origins: Mapping[str, _Origin], first: str, at: Callable[[str], datetime | None]
) -> Iterable[_Origin]:
    """By the time of their making, as far as it is known, but none before what it follows from."""
    done: dict[str, _Origin] = {}
    for message_id in sorted(origins, key=lambda each: (each != first, at(each) or _LATE)):
        chain: list[_Origin] = []
        current = message_id
        while current in origins and current not in done:
            done[current] = origins[current]
            chain.append(origins[current])
            current = origins[current].cause
        yield from reversed(chain)
