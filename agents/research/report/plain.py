"""Text that models and users wrote, as every medium can hold it."""

import re
import unicodedata

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066\u2067]")
_MARKS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_ISOLATE, _END = "\u2068", "\u2069"


def plain(text: str) -> str:
    """`text` without control characters, halves of characters, and commands to reorder letters.

    Such a command is shown as its number, so that nothing reads otherwise than it was written.
    """
    whole = text.encode("utf-8", "backslashreplace").decode().replace("\r\n", "\n")
    kept = _UNPRINTABLE.sub(" ", whole)
    return _REORDERING.sub(lambda found: f"\\u{ord(found[0]):04x}", kept)


def on_one_line(text: str) -> str:
    return " ".join(plain(text).split())


def in_a_sentence(name: str) -> str:
    """`name`; one that reads from right to left does not reorder what stands beside it."""
    if not any(unicodedata.bidirectional(letter) in {"R", "AL", "AN"} for letter in name):
        return name
    return f"{_ISOLATE}{_MARKS.sub('', name)}{_END}"


def cut(text: str, most: int) -> str:
    """The first `most` characters of a text, told where it was cut."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
