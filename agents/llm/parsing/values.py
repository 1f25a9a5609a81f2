"""Values as models write them: JSON, and Python's literals."""

import math
import re
from collections.abc import Callable
from typing import Any

from agents.llm.parsing.problems import BrokenCallError
from agents.llm.parsing.source import Reading, Source

MAX_DEPTH = 64

SPACE = re.compile(r"\s+")
NAME = re.compile(r"[\w.\-]+")
_WORD = re.compile(r"[\w.+\-]+")
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*|(?=\.\d))(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_MAX_DIGITS = 300
_PLAIN = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+")}
_HEX = re.compile(r"[0-9a-fA-F]+")
_LITERALS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_ESCAPES = {
    '"': '"',
    "'": "'",
    "\\": "\\",
    "/": "/",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "0": "\0",
    "\n": "",
}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


def read_value(source: Source, depth: int = 0) -> Reading[Any]:
    """Read one value.

    Raises:
        BrokenCallError: what comes is no value, or is nested too deeply.
    """
    char = yield from source.peek()
    if char and char in "{[(":
        if depth >= MAX_DEPTH:
            raise BrokenCallError(f"it is nested more than {MAX_DEPTH} levels deep")
        source.take(1)
        if char == "{":
            return (yield from read_members(source, depth=depth + 1))
        return (yield from read_items(source, "]" if char == "[" else ")", depth + 1))
    if char and char in _PLAIN:
        return (yield from read_string(source))
    word = yield from source.span(_WORD)
    return value_of_word(word, _unreadable)


def read_object(source: Source) -> Reading[dict[str, Any]]:
    """Read an object; anything else is broken."""
    yield from expect(source, "{", "an object")
    return (yield from read_members(source))


def value_of_word(word: str, otherwise: Callable[[str], Any]) -> Any:
    """A number, true, false or null in JSON's or Python's spelling; or what `otherwise` says."""
    if word in _LITERALS:
        return _LITERALS[word]
    digits = word.replace("_", "") if word[:1].isdigit() else word
    if len(digits) > _MAX_DIGITS or not digits or not _NUMBER.fullmatch(digits):
        return otherwise(word)
    if digits.lstrip("+-").isdigit():
        return int(digits)
    number = float(digits)
    return number if math.isfinite(number) else otherwise(word)


def skip_space(source: Source) -> Reading[None]:
    yield from source.span(SPACE)


def expect(source: Source, chars: str, what: str, *, take: bool = True) -> Reading[str]:
    """Take one of `chars` after white space.

    Raises:
        BrokenCallError: another one comes, or none.
    """
    yield from skip_space(source)
    char = yield from source.peek()
    if not char:
        raise BrokenCallError("it ends in the middle")
    if char not in chars:
        raise BrokenCallError(f"{char!r} stands where {what} is expected")
    return source.take(1) if take else char


def _unreadable(word: str) -> Any:
    raise BrokenCallError(f"{word[:40]!r} is no value" if word else "a value is missing")


def read_members(source: Source, name: str = "", depth: int = 1) -> Reading[dict[str, Any]]:
    """Read the rest of an object whose "{", and first `name` if there is one, have been taken."""
    members: dict[str, Any] = {}
    while name or not (yield from _closes(source, "}")):
        if not name:
            yield from expect(source, "\"'", "a name in quotes", take=False)
            name = yield from read_string(source)
        if name in members:
            raise BrokenCallError(f"{name[:40]!r} is given twice")
        yield from expect(source, ":", "':'")
        yield from skip_space(source)
        members[name] = yield from read_value(source, depth)
        name = ""
        if (yield from expect(source, ",}", "',' or '}'", take=False)) == ",":
            source.take(1)
    source.take(1)
    return members


def read_items(source: Source, closing: str, depth: int = 1) -> Reading[list[Any]]:
    """Read the rest of a list, up to `closing`; a comma may come first."""
    items: list[Any] = []
    if (yield from _closes(source, ",")):
        source.take(1)
    while not (yield from _closes(source, closing)):
        items.append((yield from read_value(source, depth)))
        what = f"',' or {closing!r}"
        if (yield from expect(source, "," + closing, what, take=False)) == ",":
            source.take(1)
    source.take(1)
    return items


def _closes(source: Source, closing: str) -> Reading[bool]:
    yield from skip_space(source)
    return (yield from source.peek()) == closing


def read_string(source: Source) -> Reading[str]:
    """Read a text in quotes, three of them too, with the escapes of JSON and Python.

    A line break in it is one; a backslash before any other character is itself.
    """
    quote = (yield from source.peek()) or '"'
    start = yield from source.next_of([quote * 3, quote * 2, quote])
    source.take(len(start))
    if len(start) == 2:  # noqa: PLR2004 - an empty text
        return ""
    pieces = []
    while not (yield from source.skip(start)):
        char = yield from source.peek()
        if not char:
            raise BrokenCallError("it ends in the middle of a text")
        if char == "\\":
            pieces.append((yield from _read_escape(source)))
        else:
            pieces.append(source.run(_PLAIN[quote]) or source.take(1))
    text = "".join(pieces)
    # Two halves of a character become one; a half alone is none.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_escape(source: Source) -> Reading[str]:
    source.take(1)
    char = yield from source.peek()
    if char in _HEX_DIGITS:
        digits = (yield from source.ahead(1 + _HEX_DIGITS[char]))[1:]
        is_whole = len(digits) == _HEX_DIGITS[char] and _HEX.fullmatch(digits)
        if is_whole and int(digits, 16) <= 0x10FFFF:  # noqa: PLR2004 - Unicode's last
            source.take(1 + len(digits))
            return chr(int(digits, 16))
    elif char in _ESCAPES:
        return _ESCAPES[source.take(1)]
    return "\\"


def value_of_text(text: str) -> Any:
    """The value that the whole of `text` is in JSON or Python; else the text itself."""
    stripped = text.strip()
    if stripped[:1] in {"{", "["}:
        try:
            return read_whole(stripped, read_value)
        except BrokenCallError:
            return text
    return value_of_word(stripped, lambda _: text)


def read_whole(text: str, read: Callable[[Source], Reading[Any]]) -> Any:
    """Read one thing that is the whole of `text`.

    Raises:
        BrokenCallError: it cannot be read, or more follows it.
    """
    source = Source()
    source.feed(text)
    source.end()
    value = _at_once(read(source))
    _at_once(skip_space(source))
    if source.here(1):
        raise BrokenCallError("more text follows")
    return value


def _at_once(reading: Reading[Any]) -> Any:
    try:
        next(reading)
    except StopIteration as end:
        return end.value
    raise AssertionError("a text that has ended is never waited for")
