"""Where traces of a conversation lie: topics, dead letters, retries, and what is told live."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from pydantic import ValidationError

from guild.live.messages import LiveHandling, LiveHandlings
from guild.live.watching import MOST_ENTRIES, told_in
from messaging.backend import FROM_START, Backend, DeadLetter, Entry, TopicInfo, history_key
from messaging.bus import Bus
from messaging.handling.failure_record import HISTORY, Attempt
from messaging.wire.envelope import Envelope, payload_of
from messaging.wire.topic import LIVE_TOPIC, reply_topic_of

PAGE = 512
MOST_READ = 50_000
MOST_LETTERS = 10_000
MOST_STEPS = 500
MOST_BYTES = 8 * 1024 * 1024
MOST_ASKED = 20_000
SLACKS_S = (2.0, 60.0)
"""By how much the clock of the process that made a message may be ahead of the store's: as a rule,
and at most."""


class Held(NamedTuple):
    """A message that a topic holds, and what that means for each agent that listens to it."""

    envelope: Envelope
    agents: Mapping[str, str]


@dataclass
class Findings:
    """All that was found of a conversation.

    Attributes:
        listeners: by topic, the agents that are subscribed to it.
    """

    held: list[Held] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    rows: list[LiveHandling] = field(default_factory=list)
    answers: list[Envelope] = field(default_factory=list)
    histories: dict[tuple[str, str], Sequence[Attempt]] = field(default_factory=dict)
    listeners: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_whole: bool = True
    left_bytes: int = 0

    def without_much(self, envelope: Envelope) -> Envelope:
        """`envelope`; without what it says, once that of all together is too much."""
        self.left_bytes -= len(payload_of(envelope))
        if self.left_bytes >= 0:
            return envelope
        self.is_whole = False
        return envelope._replace(payload=b"", message=None)

    @property
    def conversation_of(self) -> Mapping[str, str]:
        """By id of a message, that of the conversation it belongs to."""
        envelopes = [each.envelope for each in self.held]
        envelopes += [letter.envelope for letter in self.letters]
        told = {row.id: row.conversation for row in self.rows}
        return told | {envelope.id: envelope.conversation_id for envelope in envelopes}

    @property
    def topics_of(self) -> Mapping[str, str]:
        """By id of a message, where it was published."""
        envelopes = [each.envelope for each in self.held]
        envelopes += [letter.envelope for letter in self.letters]
        told = {row.id: row.topic for row in self.rows}
        return told | {envelope.id: envelope.published_to for envelope in envelopes}


async def gather(bus: Bus, agents: Sequence[str], wanted: str) -> Findings:
    """Whatever is known of the conversation `wanted`, or of the message of that id.

    Args:
        bus: an open bus of the guild.
        agents: ids of those of the spec.
        wanted: id of a conversation or of one of its messages.
    """
    found = Findings()
    for slack_s in SLACKS_S:
        infos = {info.topic: info for info in await bus.backend.topics()}
        found.is_whole, found.left_bytes = True, MOST_BYTES
        held = await _look_into_topics(bus.backend, infos, wanted, slack_s, found)
        found.held = max(found.held, held, key=len)
        if not found.is_whole or any(each.envelope.id == wanted for each in held):
            break
    found.listeners = {topic: _listeners(info) for topic, info in infos.items()}
    await _look_into_letters(bus, wanted, found)
    await _look_into_live(bus.backend, wanted, found)
    found.answers = [
        found.without_much(entry.envelope)
        async for entry in _entries(bus.backend, {reply_topic_of(wanted): FROM_START}, PAGE)
    ]
    await _look_into_retries(bus.backend, agents, wanted, found)
    return found


async def _look_into_topics(
    backend: Backend,
    infos: Mapping[str, TopicInfo],
    wanted: str,
    slack_s: float,
    found: Findings,
) -> list[Held]:
    """What the topics hold of a conversation."""
    positions = await backend.positions_at(infos, max(0.0, _made_at(wanted) - slack_s))
    read = dict.fromkeys(infos, 0)
    matches: list[tuple[int, Envelope]] = []
    async for entry in _entries(backend, positions, MOST_READ):
        topic = entry.envelope.topic
        read[topic] += 1
        if wanted in (entry.envelope.id, entry.envelope.conversation_id):
            if len(matches) == MOST_STEPS:
                found.is_whole = False
            else:
                matches.append((read[topic], found.without_much(entry.envelope)))
    found.is_whole &= sum(read.values()) < MOST_READ
    return [
        Held(envelope, _states(infos[envelope.topic], read[envelope.topic] - number))
        for number, envelope in matches
    ]


def _states(info: TopicInfo, behind: int) -> Mapping[str, str]:
    """By agent, what an entry is to it that has so many others behind it in its topic."""
    return {
        agent: _state(info.entries, info.waiting.get(agent, 0), info.pending.get(agent, 0), behind)
        for agent in _listeners(info)
    }


def _listeners(info: TopicInfo) -> Sequence[str]:
    return sorted({*info.waiting, *info.pending})


def _state(entries: int, waiting: int, in_hand: int, behind: int) -> str:
    """What was not lent yet comes last, and the oldest is settled first, as a rule."""
    if behind < waiting:
        return "waiting"
    if not in_hand:
        return "settled"
    return "in hand" if entries - waiting == in_hand else "unknown"


async def _look_into_letters(bus: Bus, wanted: str, found: Findings) -> None:
    left = MOST_LETTERS
    async for letter in bus.dead_letters.find():
        if wanted in (letter.envelope.id, letter.envelope.conversation_id):
            envelope = found.without_much(letter.envelope)
            found.letters.append(letter._replace(envelope=envelope))
        left -= 1
        if not left:
            found.is_whole = False
            return


async def _look_into_live(backend: Backend, wanted: str, found: Findings) -> None:
    async for entry in _entries(backend, {LIVE_TOPIC: FROM_START}, MOST_ENTRIES):
        told = told_in(entry)
        if isinstance(told, LiveHandlings):
            found.rows += [row for row in told.rows if wanted in (row.id, row.conversation)]


async def _look_into_retries(
    backend: Backend, agents: Sequence[str], wanted: str, found: Findings
) -> None:
    """A message that waits for its next attempt lies in no topic; how it failed is remembered.

    It is asked of the agents that listen where it was published; of all where that is not known.
    """
    topics = {wanted: "", **found.topics_of}
    asked = [
        (message_id, agent)
        for message_id, topic in islice(topics.items(), MOST_STEPS)
        for agent in found.listeners.get(topic) or agents
    ]
    found.is_whole &= len(asked) <= MOST_ASKED
    asked = asked[:MOST_ASKED]
    for start in range(0, len(asked), PAGE):
        page = asked[start : start + PAGE]
        stored = await asyncio.gather(
            *[backend.load_state(agent, history_key(message_id)) for message_id, agent in page]
        )
        for key, value in zip(page, stored, strict=True):
            if value is not None:
                found.histories[key] = _history(value.value)


def _history(stored: bytes) -> Sequence[Attempt]:
    try:
        return HISTORY.validate_json(stored)
    except ValidationError:
        return ()


async def _entries(
    backend: Backend, positions: Mapping[str, str], most: int
) -> AsyncIterator[Entry]:
    """What these topics hold behind the positions, at most so much."""
    after = dict(positions)
    while most > 0 and after:
        page = await backend.tail(after, max_count=min(PAGE, most), wait_s=0.0)
        if not page:
            return
        most -= len(page)
        for entry in page:
            after[entry.envelope.topic] = entry.position
            yield entry


def _made_at(message_id: str) -> float:
    """When a message was made, as its id tells; 0 where the id was made by another rule."""
    try:
        return int(message_id[:12], 16) / 1000 if message_id[12:13] == "7" else 0.0
    except ValueError:
        return 0.0
