"""Idempotency-Keys: each stands for one message id, and should come with one message."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from guild.gateway.errors import KeyReusedError
from messaging.wire.envelope import new_id

MOST_KEYS = 10_000


class UsedKeys:
    """Remembers, of the last keys that came here, what came with them.

    The bus stores one message under an id and knows nothing of others, so a client that sends
    another message under a key would take the first answer for its own. Where this gateway has seen
    the key, it says so.
    """

    def __init__(self) -> None:
        self._prints: OrderedDict[str, bytes] = OrderedDict()

    @contextmanager
    def use(self, message_id: str, path: str, body: bytes) -> Iterator[None]:
        """A block in which this is sent under this id; it is remembered if nothing fails.

        Raises:
            KeyReusedError: another path or body was.
        """
        fingerprint = hashlib.sha256(f"{path}\n".encode() + body).digest()
        if self._prints.get(message_id, fingerprint) != fingerprint:
            raise KeyReusedError(message_id)
        yield
        self._prints[message_id] = fingerprint
        self._prints.move_to_end(message_id)
        if len(self._prints) > MOST_KEYS:
            self._prints.popitem(last=False)


def id_of(caller: str, key: str) -> str:
    """The message id that a key of a caller stands for; a new one where there is no key.

    It is a UUID of version 8, 32 hex digits: unlike that of other ids, its beginning tells no time.
    """
    if not key:
        return new_id()
    digits = hashlib.sha256(f"{len(caller)}:{caller}:{key}".encode()).hexdigest()
    return f"{digits[:12]}8{digits[13:16]}a{digits[17:32]}"
