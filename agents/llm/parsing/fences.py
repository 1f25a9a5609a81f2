"""The lines that begin and end blocks of code."""

import re

from agents.llm.parsing.source import Reading, Source

TICKS = "`~"
MIN_FENCE = 3
_MAX_TICKS = 1000
_MAX_INFO_CHARS = 100
_BLANK = re.compile(r"[ \t]+")


def read_ticks(source: Source, tick: str) -> Reading[str]:
    """Read all the ticks that come, or a great many of them."""
    ticks = ""
    while (yield from source.peek()) == tick and len(ticks) < _MAX_TICKS:
        ticks += source.take(1)
    return ticks


def read_info(source: Source, tick: str) -> Reading[str]:
    """Read what a fence says of its block, up to the end of the line, or to a backtick."""
    end = "\n`" if tick == "`" else "\n"
    info = ""
    while (char := (yield from source.peek())) and char not in end:
        info += source.take(1)
        if len(info) > _MAX_INFO_CHARS:
            break  # no language has such a name
    return info.strip().lower()


def read_closing(source: Source, fence: str) -> Reading[bool]:
    """Read ticks, and tell whether they end the block: as many, with nothing after them."""
    ticks = yield from read_ticks(source, fence[0])
    if ticks:
        yield from source.span(_BLANK)
    return len(ticks) >= len(fence) and (yield from source.peek()) in {"", "\n"}
