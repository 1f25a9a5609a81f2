"""The arguments of a call in Python's notation, whose texts may stand without quotes."""

import re
from dataclasses import dataclass
from typing import Any

from agents.llm.parsing.problems import BrokenCallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import TakesText
from agents.llm.parsing.values import (
    MAX_DEPTH,
    SPACE,
    read_string,
    read_value,
    skip_space,
    value_of_word,
)

_WORD = re.compile(r"[\w\-]+")
_BARE = re.compile(r"[^()\[\]{},]+")
_OPENING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class _Item:
    """One argument: its name, or "" where it has none, and its text if that stood bare."""

    name: str
    value: Any
    bare: str | None = None


def read_arguments(source: Source, takes_text: TakesText) -> Reading[dict[str, Any]]:
    """Read up to the closing parenthesis; the opening one has been taken.

    What stands without quotes is a number or the like, unless the parameter takes text.

    Raises:
        BrokenCallError: an argument has no name, comes twice or cannot be read.
    """
    items: list[_Item] = []
    while True:
        yield from skip_space(source)
        char = yield from source.peek()
        if char == ")":
            source.take(1)
            return _named(items, takes_text)
        items.append((yield from _read_item(source)))
        yield from skip_space(source)
        char = yield from source.peek()
        if not char:
            raise BrokenCallError("it ends in the middle")
        if char == ",":
            source.take(1)
        elif char != ")":
            raise BrokenCallError(f"{char!r} stands where ',' or ')' is expected")


def _read_item(source: Source) -> Reading[_Item]:
    name = yield from source.span(_WORD)
    space = yield from source.span(SPACE)
    is_name = bool(name) and not name[0].isdigit()
    if is_name and (yield from source.peek()) in {"=", ":"}:
        source.take(1)
        yield from skip_space(source)
        return (yield from _read_given(source, name))
    return (yield from _read_given(source, "", name + space))


def _read_given(source: Source, name: str, begun: str = "") -> Reading[_Item]:
    char = yield from source.peek()
    if not begun and char and char in "\"'":
        return _Item(name, (yield from read_string(source)))
    if not begun and char and char in "[{(":
        return _Item(name, (yield from read_value(source, 1)))
    bare = (begun + (yield from _read_bare(source))).strip()
    if not bare and (yield from source.peek()):
        what = f"the value of {name[:40]!r}" if name else "a value"
        raise BrokenCallError(f"{what} is missing")
    return _Item(name, value_of_word(bare, str), bare)


def _read_bare(source: Source) -> Reading[str]:
    """A text without quotes: up to a comma or parenthesis that is not inside brackets of its own.

    A call in the place of an argument is such a text: nothing is called to make an argument.
    """
    taken: list[str] = []
    closings: list[str] = []
    while char := (yield from source.peek()):
        if char in _OPENING:
            closings.append(_OPENING[char])
            if len(closings) > MAX_DEPTH:
                raise BrokenCallError(f"it is nested more than {MAX_DEPTH} levels deep")
        elif closings and char == closings[-1]:
            closings.pop()
        elif not closings and char in ",)":
            break
        taken.append(source.run(_BARE) or source.take(1))
    return "".join(taken)


def _named(items: list[_Item], takes_text: TakesText) -> dict[str, Any]:
    if len(items) == 1 and not items[0].name and isinstance(items[0].value, dict):
        return dict(items[0].value)
    named: dict[str, _Item] = {}
    last = ""
    for item in items:
        if item.name in named:
            raise BrokenCallError(f"{item.name[:40]!r} is given twice")
        if item.name:
            named[item.name] = item
            last = item.name
        elif item.bare is not None and last and named[last].bare is not None:
            # The comma belonged to a text without quotes.
            text = f"{named[last].bare}, {item.bare}"
            named[last] = _Item(last, text, text)
        else:
            raise BrokenCallError("an argument has no name; write name=value")
    return {
        name: item.value if item.bare is None or not takes_text(name, item.value) else item.bare
        for name, item in named.items()
    }
