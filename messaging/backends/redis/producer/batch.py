"""A batch of one topic: its entries, the call that stores it, and how long it is remembered.

What stays the same for a topic is written once, as the server reads it: of the call for a batch of
one message that is nearly all, and to write it anew costs three times as much.

What was accepted a moment ago is kept for a server that comes back without it. With `appendfsync
everysec` a server whose disk is behind answers up to two seconds before it writes, and a replica
that is promoted may lag: killed then, the server forgets what it had accepted last. The publisher
still has it here, and the sequences say what has to be sent again.

An older copy of the data lacks more than that. How far each topic had come is remembered without
the messages, so that it shows what is missing and can be had from nowhere.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from messaging.backends.redis.connection.pipeline import Argument, Pipeline, pack
from messaging.backends.redis.keys import Keys
from messaging.backends.redis.server import Server

BATCH_ENTRIES = 512
BATCH_BYTES = 1 << 20
MOST_REMEMBERED = 4_096
KEPT_S = 5.0
KEPT_BYTES = 8 * 1024 * 1024
REMEMBERED_S = 86_400

_ARGUMENT = b"$%d\r\n%b\r\n"
_CALL = b"*%d\r\n%b" + _ARGUMENT + b"%b" + _ARGUMENT + _ARGUMENT
_ARGUMENTS = 15  # besides the parts of the batch

Stored = Mapping[tuple[str, str], int]
"""The last sequence that the server has of a producer on a topic."""


class Batch:
    """Entries that are stored together, for one or more callers.

    Attributes:
        parts: header, payload, header, payload …
        delays: "number:milliseconds" of those that are held back.
        callers: each waits for itself, since one of them may be cancelled.
        producer: under which it is stored; by this and `first`, the sequence of its first entry on
            this topic, it is stored once however often it is sent.
        last: the sequence of its last entry.
        reached: what is remembered of its producer; past `last` for a message under an id of its
            caller's that is no request.
        answer: what the server said to it last, or why it said nothing; None while that is open.
        was_accepted: it was stored before, and the server has forgotten it.
        is_once: it is one message under an id of its caller's, and its own producer.
    """

    count = size_bytes = first = last = reached = 0
    producer = ""
    delays: tuple[str, ...] = ()
    answer: int | Exception | None = None
    was_accepted = is_once = False

    def __init__(self, topic: str, give_up_at: float) -> None:
        self.topic = topic
        self.give_up_at = give_up_at
        self.parts: list[bytes] = []
        self.callers: list[asyncio.Future[None]] = []

    @property
    def length_after(self) -> int | None:
        """How long the topic is, if the server said that the batch is stored."""
        return self.answer if isinstance(self.answer, int) and self.answer >= 0 else None

    def add(self, entries: Sequence[tuple[bytes, bytes, float]]) -> None:
        """Take in some entries: of each the header, the payload, and for how long it is held."""
        delays: list[str] = []
        for header, payload, delay_s in entries:
            self.count += 1
            self.parts += (header, payload)
            self.size_bytes += len(payload)
            if delay_s > 0 and (delay_ms := int(delay_s * 1000)):
                delays.append(f"{self.count}:{delay_ms}")
        if delays:  # once for all of them: a tuple is written anew each time
            self.delays = (*self.delays, *delays)

    def settle(self, error: BaseException | None = None) -> None:
        for caller in self.callers:
            if caller.done():
                continue
            if error is None:
                caller.set_result(None)
            else:
                caller.set_exception(error)


class AppendCall:
    """Writes the calls of `append.lua` of one guild."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._written = lru_cache(maxsize=MOST_REMEMBERED)(self._write)

    def keys(self, producer: str, topic: str) -> tuple[bytes, ...]:
        keys = self._server.keys
        stream, sequences = keys.stream(topic), keys.producer(producer)
        return stream, sequences, keys.delays, keys.delayed_bodies, keys.topics

    def arguments(self, batch: Batch) -> list[Argument]:
        delays = ",".join(batch.delays)
        return [batch.first, *self._settings(batch.topic), delays, batch.reached, *batch.parts]

    def packed(self, batch: Batch) -> bytes:
        """All of it, of the same keys and arguments."""
        sha = self._server.scripts.append.sha
        keys, settings = self._written(sha, batch.producer, batch.topic)
        first, reached = b"%d" % batch.first, b"%d" % batch.reached
        delays = ",".join(batch.delays).encode() if batch.delays else b""
        sized: list[int | bytes] = []
        for part in batch.parts:
            sized += (len(part), part)
        return (_CALL + _ARGUMENT * len(batch.parts)) % (
            _ARGUMENTS + len(batch.parts), keys, len(first), first, settings,
            len(delays), delays, len(reached), reached, *sized,
        )  # fmt: skip

    def _settings(self, topic: str) -> tuple[Argument, ...]:
        server = self._server
        return server.options.max_backlog, REMEMBERED_S, server.keys.channel(topic), topic

    def _write(self, sha: str, producer: str, topic: str) -> tuple[bytes, bytes]:
        keys = self.keys(producer, topic)
        before = pack(("EVALSHA", sha, len(keys), *keys))
        return _without_count(before), _without_count(pack(self._settings(topic)))


class Mark(NamedTuple):
    """How far a topic had come: the last sequence that was accepted of a producer, and when."""

    producer: str
    last: int
    at_s: float


class ResendBuffer:
    """Accepted batches of the last seconds before the latest one, up to a few megabytes.

    Attributes:
        accepted_at_s: when a batch with a sequence was accepted last, on the loop's clock.
    """

    def __init__(self, keys: Keys) -> None:
        self.accepted_at_s = 0.0
        self._keys = keys
        self._kept: deque[tuple[float, Batch]] = deque()
        self._size_bytes = 0
        self._marks: dict[str, Mark] = {}
        self._once: tuple[str, Mark] | None = None

    def keep(self, batch: Batch, now_s: float) -> None:
        """Remember that `batch` was accepted now."""
        kept = self._kept
        kept.append((now_s, batch))
        self._size_bytes += batch.size_bytes
        if not batch.is_once:
            self.accepted_at_s = now_s
        while kept and (kept[0][0] < now_s - KEPT_S or self._size_bytes > KEPT_BYTES):
            at_s, gone = kept.popleft()
            self._size_bytes -= gone.size_bytes
            if gone.is_once:
                self._once = gone.topic, Mark(gone.producer, gone.last, at_s)

    def mark(self, producer: str, reached: Mapping[str, int]) -> None:
        """Remember how far this producer has come on each topic."""
        for topic, last in reached.items():
            if last:
                self._marks[topic] = Mark(producer, last, self.accepted_at_s)

    def unmark(self, topic: str) -> None:
        """What is missing there was announced."""
        self._marks.pop(topic, None)

    def clear(self) -> None:
        """The server has lost it all, and that was announced."""
        self._kept.clear()
        self._marks.clear()
        self._size_bytes, self._once = 0, None

    async def look(self, pipeline: Pipeline) -> Stored:
        """What the server behind `pipeline` has of all that is remembered here."""
        names = {batch.producer: None for _, batch in self._kept}
        names |= {mark.producer: None for mark in self._marks.values()}
        if self._once is not None:
            names[self._once[1].producer] = None
        asked = [pack(("HGETALL", self._keys.producer(name))) for name in names]
        replies = await asyncio.gather(*map(pipeline.send, asked))
        return {
            (name, self._keys.topic_of(stream)): int(last)
            for name, flat in zip(names, replies, strict=True)
            for stream, last in zip(flat[::2], flat[1::2], strict=True)
        }

    def take_forgotten(self, stored: Stored, before_s: float) -> list[Batch]:
        """What the server does not have of all that was accepted until then, in order.

        It is kept no longer.
        """

        def is_stored(at_s: float, batch: Batch) -> bool:
            last = stored.get((batch.producer, batch.topic), 0)
            return last >= batch.last or at_s > before_s

        kept, self._kept = self._kept, deque()
        self._kept.extend(each for each in kept if is_stored(*each))
        self._size_bytes = sum(batch.size_bytes for _, batch in self._kept)
        return [batch for at_s, batch in kept if not is_stored(at_s, batch)]

    def take_missing(
        self, stored: Stored, resent: Collection[Batch], now_s: float
    ) -> dict[str, int]:
        """How much is missing of each topic besides what is `resent`; 0 where that is unknown.

        It is remembered no longer.
        """
        missing = {
            topic: count
            for topic, mark in self._marks.items()
            if (count := _gap(topic, mark, stored, resent)) and now_s - mark.at_s < REMEMBERED_S
        }
        for topic in missing:
            del self._marks[topic]
        if self._once is not None:
            topic, mark = self._once
            if (mark.producer, topic) not in stored and now_s - mark.at_s < REMEMBERED_S:
                self._once = None
                missing.setdefault(topic, 0)
        return missing


def missing_text(missing: Mapping[str, int]) -> str:
    """What to say of topics that miss so many each; 0 where that is unknown."""
    topics = ", ".join(
        f"{count:,} on {topic}" if count else f"some on {topic}"
        for topic, count in sorted(missing.items())
    )
    return (
        f"the server has forgotten messages that it had accepted from this process ({topics}): it "
        "came back with older data (a backup, a replica that lagged, or a file cut short), and "
        "no process has them any more"
    )


def _gap(topic: str, mark: Mark, stored: Stored, resent: Iterable[Batch]) -> int:
    """How many are missing between what the server has and what is sent again."""
    again = [b.first - 1 for b in resent if (b.topic, b.producer) == (topic, mark.producer)]
    return max(0, min([mark.last, *again]) - stored.get((mark.producer, topic), 0))


def _without_count(packed: bytes) -> bytes:
    return packed.partition(b"\r\n")[2]
