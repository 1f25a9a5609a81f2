"""Idempotency-Keys: each stands for one message id, and should come with one message.

The bus stores one message under an id and knows nothing of others, so a client that sends another
message under a key would take the first answer for its own. All gateways of a guild therefore tell
each other what came with which key, on one bounded ephemeral topic: what stands there first counts.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guild.errors import DecisionRefusedError, GuildError, UnexpectedReplyError
from guild.gateway.errors import KeyReusedError
from messaging.backend import FROM_START, Backend, Entry
from messaging.errors import (
    BackendError,
    BusClosedError,
    MessagingError,
    RequestCancelledError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import reply_topic_of

MOST_KEYS = 10_000
KEPT_S = 86_400.0
"""As long as the id of a message is remembered."""
TOPIC = reply_topic_of("http-keys")
"""Of the bus, as it should be bounded and expire; no client has this id."""

_TYPE = "guild.http_key"
_MOST_AT_ONCE = 512
_ATTEMPTS = 2
_SENT = (
    BackendError,
    BusClosedError,
    DecisionRefusedError,
    RequestCancelledError,
    RequestFailedError,
    RequestTimeoutError,
    UnexpectedReplyError,
)
"""Where the message was sent, or may have been: its key goes on standing for it."""


class UsedKeys:
    """Knows, of the last keys that came to any gateway of the guild, what came with them."""

    def __init__(self) -> None:
        self._prints: OrderedDict[str, str] = OrderedDict()
        self._position = FROM_START
        self._reading = asyncio.Lock()

    @asynccontextmanager
    async def use(
        self, backend: Backend, message_id: str, path: str, body: bytes
    ) -> AsyncIterator[None]:
        """A block in which this is sent under this id; it is forgotten if it is refused unsent.

        Args:
            backend: of the guild.
            message_id: that the key stands for.
            path: where it was sent to.
            body: what was sent.

        Raises:
            KeyReusedError: another path or body was sent with the key.
            BackendUnavailableError: the store is away.
        """
        mine = hashlib.sha256(f"{path}\n".encode() + body).hexdigest()
        told = await self._tell_first(backend, message_id, mine)
        if self._prints.get(message_id, mine) != mine:
            raise KeyReusedError(message_id)
        try:
            yield
        except (MessagingError, GuildError) as error:
            if told and not isinstance(error, _SENT):
                await backend.emit([_entry(message_id, "")])
                self._take(message_id, "")
            raise

    async def _tell_first(self, backend: Backend, message_id: str, mine: str) -> bool:
        """Tell the others of a key, unless one of them was first; whether that was done."""
        if message_id not in self._prints:
            await self._catch_up(backend)
        if message_id in self._prints:
            return False
        for _ in range(_ATTEMPTS):
            await backend.emit([_entry(message_id, mine)])
            await self._catch_up(backend)
            if message_id in self._prints:
                return True
            # The topic was never opened, or it has expired.
            await backend.open_ephemeral(TOPIC, ttl_s=KEPT_S, max_entries=MOST_KEYS)
        self._take(message_id, mine)
        return True

    async def _catch_up(self, backend: Backend) -> None:
        """Read what was told so far; one reads for all that came at once."""
        async with self._reading:
            await self._read(backend)

    async def _read(self, backend: Backend) -> None:
        while True:
            page = await backend.tail({TOPIC: self._position}, max_count=_MOST_AT_ONCE, wait_s=0.0)
            for entry in page:
                self._take(entry.envelope.cause, _print_in(entry))
                self._position = entry.position
            if len(page) < _MOST_AT_ONCE:
                return

    def _take(self, message_id: str, fingerprint: str) -> None:
        """What is told first counts, until it is told that it was refused."""
        if not fingerprint:
            self._prints.pop(message_id, None)
            return
        self._prints.setdefault(message_id, fingerprint)
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


def _entry(message_id: str, fingerprint: str) -> Envelope:
    payload = f'"{fingerprint}"'.encode()
    return Envelope(new_id(), _TYPE, 1, TOPIC, payload, cause=message_id)


def _print_in(entry: Entry) -> str:
    return entry.envelope.payload.decode().strip('"')
