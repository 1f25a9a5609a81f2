"""The hot path: one connection on which commands go out together and replies come in order.

Everything sent in one tick of the loop is one write. A lost connection fails what was unanswered
with `ConnectionLostError`; the sender knows whether sending it again is harmless.
"""

import asyncio
import fcntl
import os
import socket
import termios
from array import array
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

import hiredis

from messaging.backends.redis.scripts import Script
from messaging.process.forks import keep_from_children

Argument = bytes | str | float
LONG_BYTES = 1 << 16


def pack(command: Sequence[Argument]) -> bytes:
    """The bytes of a command, as the server reads them."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type] # says 1-tuple
    return packed


def pack_script(script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]) -> bytes:
    """The bytes of a call of `script`."""
    return pack(("EVALSHA", script.sha, len(keys), *keys, *arguments))


class ConnectionLostError(Exception):
    """The connection went away before the reply; whether the command ran is not known."""


Receiver = Callable[[Any], None]
"""Takes a reply, or the error in its place, the moment it is read; it must not raise."""

Watchers = Mapping[bytes, Collection[Callable[[bytes], None]]]
"""By channel, what to call with what is published there."""

RepliesReceiver = Callable[[list[Any]], None]
"""Takes several replies at once, errors among them, when the last is there; it must not raise."""


class Pipeline(asyncio.Protocol):
    """One connection: commands out in order, replies back in the same order.

    Args:
        on_lost: called once when the connection is gone.
        reply_timeout_s: a connection that owes something and is silent so long is given up, unless
            the server is still taking what it was asked: a long message on a narrow link.
    """

    def __init__(self, on_lost: Callable[["Pipeline"], None], reply_timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[Receiver] = deque()
        self._unwritten: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._on_push: Receiver | None = None
        self._watchers: Watchers = {}
        self._reply_timeout_s = reply_timeout_s
        self._watchdog: asyncio.TimerHandle | None = None
        self._reads = self._reads_seen = 0
        self._was_owed: Receiver | None = None
        self._reads_then = 0
        self._oldest: Receiver | None = None
        self._sent = self._long_at = 0
        self._why = "closed by the server"
        self.written_bytes = self._asked_bytes = self._taken_bytes = 0
        self.is_lost = False
        keep_from_children(self)

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """The reply to come; fails with `hiredis.ReplyError` or `ConnectionLostError`."""
        reply = self._loop.create_future()
        self.send_for(partial(_resolve, reply), packed)
        return reply

    def send_for(self, receiver: Receiver, packed: bytes) -> None:
        """Give the reply to `receiver`."""
        if self.is_lost:
            receiver(ConnectionLostError("the connection is gone"))
            return
        self._waiting.append(receiver)
        self._sent += 1
        self.write(packed)

    def send_now(self, commands: Sequence[bytes], then: RepliesReceiver) -> None:
        """As `send_with_next`, but flushed at once."""
        self.send_with_next(commands, then)
        self.flush()

    def send_with_next(self, commands: Sequence[bytes], then: RepliesReceiver) -> None:
        """Send these in one write with what comes next; the caller sees to it that it is flushed.

        `then` gets all replies together with the last one. It is called even if all who wait for
        it have been cancelled.
        """
        if self.is_lost:
            then([ConnectionLostError("the connection is gone")] * len(commands))
            return
        replies: list[Any] = []
        self._waiting += [replies.append] * (len(commands) - 1)
        self._waiting.append(partial(_hand_over, then, replies))
        self._sent += len(commands)
        self._unwritten += commands

    @property
    def is_crowded(self) -> bool:
        """Whether what is sent now may have to wait behind something long that is on its way."""
        answered = self._sent - len(self._waiting)
        return answered < self._long_at

    def is_silent_since_last_asked(self) -> bool:
        """Whether the server owes what it owed then, has said nothing, and has nothing long."""
        owed, self._was_owed = self._was_owed, self._waiting[0] if self._waiting else None
        reads, self._reads_then = self._reads_then, self._reads
        is_owed_still = owed is not None and owed is self._was_owed
        return is_owed_still and reads == self._reads and not self.is_crowded

    def write(self, packed: bytes) -> None:
        """Send without expecting a reply, as subscribed connections do."""
        if not self._unwritten:
            self._loop.call_soon(self.flush)
        self._unwritten.append(packed)

    def subscribe_to_pushes(self, on_push: Receiver, watchers: Watchers | None = None) -> None:
        """From now on this listens to channels.

        Args:
            on_push: gets whatever comes, also errors, unless it was published on a channel that
                has watchers.
            watchers: called with what is published on their channel.
        """
        self._on_push, self._watchers = on_push, {} if watchers is None else watchers

    def abort(self) -> None:
        """Drop the connection at once; replies that are still out are lost."""
        if self._transport is not None:
            self._transport.abort()

    def forked(self) -> None:
        """Called in a child, which shares the connection: have its copy lead nowhere.

        Nor does the child take the descriptor out of what the parent's loop watches, if it closes.
        """
        self.is_lost, self._unwritten = True, []
        connection = None if self._transport is None else self._transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, connection.fileno(), inheritable=False)
            os.close(nowhere)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watchdog = self._loop.call_later(self._reply_timeout_s, self._check_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        try:
            waiting, self._waiting = self._waiting, deque()
            for receiver in waiting:
                receiver(ConnectionLostError(str(exc or self._why)))
        finally:  # also short of memory: or nobody would dial again
            self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        self._reads += 1
        next_reply, waiting, on_push = self._reader.gets, self._waiting, self._on_push
        try:
            self._reader.feed(data)
            # It is False once nothing whole is left; Redis has no false in RESP2.
            while (value := next_reply()) is not False:
                if on_push is not None:
                    self._pushed(value, on_push)
                elif waiting:
                    waiting.popleft()(value)
                else:  # a server that will not have us says so unasked, and hangs up
                    self._why = f"the server said {value}"
                    self.abort()
                    return
        except hiredis.ProtocolError:
            self._why = "what answers there does not speak the protocol of Redis"
            self.abort()

    def flush(self) -> None:
        """Write what waits now, a tick of the loop earlier; for a caller with nothing to add."""
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and self._transport is not None and not self.is_lost:
            data = b"".join(unwritten)
            self.written_bytes += len(data)
            if len(data) > LONG_BYTES:
                self._long_at = self._sent
            self._transport.write(data)

    def _pushed(self, value: Any, on_push: Receiver) -> None:
        if isinstance(value, list) and value[0] == b"message" and value[1] in self._watchers:
            for call in tuple(self._watchers[value[1]]):
                call(value[2])
        else:
            on_push(value)

    def _check_alive(self) -> None:
        oldest = self._waiting[0] if self._waiting else None
        owes_a_reply = oldest is not None and oldest is self._oldest
        is_taking = self._is_taking()
        is_silent = self._reads == self._reads_seen and not is_taking
        if is_silent and (owes_a_reply or self._on_push is not None):
            self.abort()
            return
        self._oldest, self._reads_seen = oldest, self._reads
        if self._on_push is not None:
            self.write(pack(("PING",)))
        self._watchdog = self._loop.call_later(self._reply_timeout_s, self._check_alive)

    def _is_taking(self) -> bool:
        """Whether what had been asked by the last look is not all taken yet, but more of it is."""
        assert self._transport is not None
        on_its_way = self._transport.get_write_buffer_size() + _unacknowledged(self._transport)
        asked, before = self._asked_bytes, self._taken_bytes
        self._asked_bytes, self._taken_bytes = (
            self.written_bytes,
            self.written_bytes - on_its_way,
        )
        return before < self._taken_bytes and before < asked


def _resolve(reply: asyncio.Future[Any], value: Any) -> None:
    if reply.done():  # whoever waited for it was cancelled
        return
    if isinstance(value, Exception):
        reply.set_exception(value)
    else:
        reply.set_result(value)


def _hand_over(then: RepliesReceiver, replies: list[Any], last: Any) -> None:
    replies.append(last)
    then(replies)


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the system has and the other side has not confirmed."""
    count = array("i", [0])
    with suppress(OSError, ValueError):  # it is closed, or a kind of socket that cannot tell
        fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, count)
    return count[0]
