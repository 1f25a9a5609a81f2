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
    the key, it says so, and also where both come at once.
    """

    def __init__(self) -> None:
        self._prints: OrderedDict[str, bytes] = OrderedDict()
        self._underway: dict[str, list[bytes]] = {}

    @contextmanager
    def use(self, message_id: str, path: str, body: bytes) -> Iterator[None]:
        """A block in which this is sent under this id; it is remembered if nothing fails.

        Raises:
            KeyReusedError: another path or body was, or is just being sent.
        """
        fingerprint = hashlib.sha256(f"{path}\n".encode() + body).digest()
        underway = self._underway.get(message_id, [])
        if {*underway, self._prints.get(message_id, fingerprint)} != {fingerprint}:
            raise KeyReusedError(message_id)
        self._underway[message_id] = [*underway, fingerprint]
        try:
            yield
            self._keep(message_id, fingerprint)
        finally:
            self._underway[message_id].pop()
            if not self._underway[message_id]:
                del self._underway[message_id]

    def _keep(self, message_id: str, fingerprint: bytes) -> None:
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
