"""The call of `append.lua` that stores a batch.

What stays the same for a topic is written once, as the server reads it: of the call for a batch of
one message that is nearly all, and to write it anew costs three times as much.
"""

from functools import lru_cache

from messaging.backends.redis.connection.pipeline import Argument, pack
from messaging.backends.redis.producer.batch import Batch
from messaging.backends.redis.producer.resend_buffer import REMEMBERED_S
from messaging.backends.redis.server import Server

MOST_REMEMBERED = 4_096

_ARGUMENT = b"$%d\r\n%b\r\n"
_CALL = b"*%d\r\n%b" + _ARGUMENT + b"%b" + _ARGUMENT + _ARGUMENT
_ARGUMENTS = 15  # besides the parts of the batch


class AppendCall:
    """Writes the calls of one guild."""

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


def _without_count(packed: bytes) -> bytes:
    return packed.partition(b"\r\n")[2]
