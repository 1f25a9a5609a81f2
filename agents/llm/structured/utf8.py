"""Ranges of code points as ranges of UTF-8 bytes."""

from collections.abc import Iterator

ByteRanges = tuple[tuple[int, int], ...]

_LAST_OF_LENGTH = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)


def byte_ranges(low: int, high: int) -> Iterator[tuple[int, int, ByteRanges]]:
    """The code points from `low` to `high` in parts, each with its ranges of bytes.

    Every choice of one byte from each range is a character, and the other way round. No code
    point may be a surrogate.
    """
    for last in _LAST_OF_LENGTH:
        if low <= last:
            yield from _of_one_length(low, min(high, last))
            low = last + 1
        if low > high:
            return


def _of_one_length(low: int, high: int) -> Iterator[tuple[int, int, ByteRanges]]:
    first, last = chr(low).encode(), chr(high).encode()
    for tail in range(1, len(first)):
        block = 1 << (6 * tail)
        if low // block != high // block:
            if low % block:
                end = low | (block - 1)
                yield from _of_one_length(low, end)
                yield from _of_one_length(end + 1, high)
                return
            if high % block != block - 1:
                start = high - high % block
                yield from _of_one_length(low, start - 1)
                yield from _of_one_length(start, high)
                return
    yield low, high, tuple(zip(first, last, strict=True))
