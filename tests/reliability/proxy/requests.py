"""What a client asks of a Redis server, read off the wire."""

import re

import hiredis

SHA = re.compile(rb"[0-9a-f]{40}")


class Requests:
    """Reads the requests of one connection as they go by; anything else goes by unread."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._is_redis = True

    def read(self, data: bytes) -> list[str]:
        """The kinds of request that end in `data`: the command's name, a script's hash."""
        kinds: list[str] = []
        if self._is_redis:
            self._reader.feed(data)
            try:
                while (parts := self._reader.gets()) is not False:
                    kinds.append(_kind_of(parts))
            except hiredis.ProtocolError:
                self._is_redis = False
        return kinds

    @property
    def is_between_two(self) -> bool:
        """Whether the next byte begins another request."""
        return not self._reader.has_data()


def _kind_of(parts: list[bytes]) -> str:
    name = parts[0].decode().upper()
    return parts[1].decode() if name == "EVALSHA" and SHA.fullmatch(parts[1]) else name
