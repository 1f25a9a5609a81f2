"""The tags around reasoning."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from agents.llm.parsing.source import Reading, Source

REASONING = frozenset({"think", "thinking", "reasoning", "chain_of_thought"})

MAX_TAG_CHARS = 200
_START = re.compile(r"<(/?)\s{0,8}([A-Za-z_]*)")
_WHOLE = re.compile(
    r"""<(?:/\s{0,8})?[A-Za-z_]+(\s+[\w:.-]+\s*=\s*("[^"<>]*"|'[^'<>]*'|[^\s"'<>=]+))*\s*/?>"""
)
_BEGUN = re.compile(r"""<(?:/\s{0,8})?[A-Za-z_]*(\s[^<>]*)?/?$""")
_TAIL_CHARS = 400


@dataclass(frozen=True)
class Tag:
    """One tag: how many characters it has, and what it does."""

    name: str
    chars: int
    is_closing: bool
    is_empty: bool


def next_tag(source: Source, names: Collection[str]) -> Reading[Tag | None]:
    """The tag with one of `names` that comes next, not taken."""
    while True:
        here = source.here(MAX_TAG_CHARS)
        if tag := _tag_in(here, names):
            return tag
        if not _may_become_tag(here, names) or not (yield from source.wait()):
            return None


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends in an open tag, so that the output begins inside of reasoning."""
    tail = prompt[-_TAIL_CHARS:].rstrip()
    begin = tail.rfind("<")
    tag = _tag_in(tail[begin:], REASONING) if begin >= 0 else None
    if tag is None or tag.chars < len(tail) - begin:
        return False
    return not tag.is_closing and not tag.is_empty


def _tag_in(text: str, names: Collection[str]) -> Tag | None:
    whole = _WHOLE.match(text)
    start = _START.match(text)
    if whole is None or start is None or start[2].lower() not in names:
        return None
    return Tag(start[2].lower(), whole.end(), bool(start[1]), whole[0].endswith("/>"))


def _may_become_tag(text: str, names: Collection[str]) -> bool:
    if len(text) >= MAX_TAG_CHARS or not _BEGUN.match(text):
        return False
    start = _START.match(text)
    assert start is not None  # both begin alike
    name = start[2].lower()
    is_whole = start.end() < len(text)
    return name in names if is_whole else any(known.startswith(name) for known in names)
