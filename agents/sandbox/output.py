"""What a job printed: the beginning and the end of it, whatever its length."""

from collections import deque


class CappedOutput:
    """Keeps the first and the last half of `limit_bytes`, and how much fell out between."""

    def __init__(self, limit_bytes: int) -> None:
        self._half_bytes = max(1, limit_bytes // 2)
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped_bytes = 0

    def write(self, chunk: bytes) -> None:
        room = self._half_bytes - len(self._head)
        self._head += chunk[:room] if room > 0 else b""
        rest = chunk[max(room, 0) :]
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._half_bytes:
            gone = self._tail.popleft()
            self._tail_bytes -= len(gone)
            self._dropped_bytes += len(gone)

    def text(self) -> str:
        """Decoded output, with a line in the middle that says how much is missing."""
        tail = b"".join(self._tail)
        cut = max(0, len(tail) - self._half_bytes)
        dropped = self._dropped_bytes + cut
        middle = f"\n[... {dropped:,} bytes left out ...]\n" if dropped else ""
        return _decode(self._head) + middle + _decode(tail[cut:])


def _decode(data: bytes | bytearray) -> str:
    return data.decode("utf-8", errors="replace")
