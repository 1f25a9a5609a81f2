"""What a wake-up tells of an ephemeral topic: the entries themselves, where they are small.

A line with the position of what came before, then for each entry a line with its position and the
lengths of header and payload, and those two. By what came before, a listener notices that it has
missed something. An empty text says no more than "look". `common.lua` writes it.
"""

from typing import NamedTuple


class Notification(NamedTuple):
    """Entries in a row: positions, and fields as a stream returns them."""

    before: str
    last: str
    entries: tuple[tuple[bytes, tuple[bytes, bytes, bytes, bytes]], ...]


def read_notification(text: bytes) -> Notification | None:
    """The entries in `text`; None where it was not written by this version of the scripts."""
    try:
        return _read(text)
    except (ValueError, IndexError):
        return None


def _read(text: bytes) -> Notification:
    before, _, rest = text.partition(b"\n")
    entries = []
    while rest:
        head, _, rest = rest.partition(b"\n")
        position, header_length, payload_length = head.split(b" ")
        middle = int(header_length)
        end = middle + int(payload_length)
        if not 0 <= middle <= end <= len(rest):
            raise ValueError("cut short")
        entries.append((position, (b"h", rest[:middle], b"p", rest[middle:end])))
        rest = rest[end:]
    return Notification(before.decode(), entries[-1][0].decode(), tuple(entries))
