"""Reads regular expressions, in Python's syntax or that of JSON schema, which is a part of it."""

# The standard library's parser is the only one that knows exactly what its expressions mean.
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from re import _constants as sre  # type: ignore[attr-defined]  # isort: skip
from re import _parser as sre_parser  # type: ignore[attr-defined]  # isort: skip

from agents.llm.structured.errors import GrammarSyntaxError, UnsupportedKeywordError
from agents.llm.structured.expression import (
    EMPTY,
    MAX_CODE_POINT,
    NOTHING,
    Characters,
    Expression,
    Literal,
    Ranges,
    choice,
    inverted,
    ranges,
    repeat,
    sequence,
)

MAX_REPEATS = 100_000

ANY = Characters(ranges([(0, MAX_CODE_POINT)]))
ANY_TEXT = repeat(ANY)
TEXT = Characters(ranges([(0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x7E), (0xA0, MAX_CODE_POINT)]))
"""What people write: no control characters but tabs and line ends."""

_DIGITS = ranges([(0x30, 0x39)])
_WORD = ranges([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
_SPACE = ranges([(0x09, 0x0D), (0x20, 0x20)])
_LAST_CASED = 0x1E943
_LINE_END = ranges([(0x0A, 0x0A)])
_ANY_LINE_END = ranges([(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)])
_OPPOSITES = {
    sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
    sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
    sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
}
_NARROW = {
    sre.CATEGORY_DIGIT: _DIGITS,
    sre.CATEGORY_WORD: _WORD,
    sre.CATEGORY_SPACE: _SPACE,
}


@cache
def _wide(category: Any) -> Ranges:
    """All that some dialect counts among digits, words or spaces."""
    belongs: dict[Any, Callable[[str], bool]] = {
        sre.CATEGORY_DIGIT: lambda c: unicodedata.category(c) == "Nd",
        sre.CATEGORY_WORD: lambda c: unicodedata.category(c)[0] in "LMN" or c in _CONNECTORS,
        sre.CATEGORY_SPACE: lambda c: c.isspace() or c == "\ufeff",
    }
    is_inside = belongs[category]
    return ranges((code, code) for code in range(MAX_CODE_POINT + 1) if is_inside(chr(code)))


_CONNECTORS = "_\u200c\u200d\u203f\u2040\u2054\ufe33\ufe34\ufe4d\ufe4e\ufe4f\uff3f"
_STARTS = {sre.AT_BEGINNING, sre.AT_BEGINNING_STRING}
_ENDS = {sre.AT_END, sre.AT_END_STRING}
_KNOWN_FLAGS = re.IGNORECASE | re.DOTALL | re.UNICODE | re.ASCII | re.VERBOSE

Parts = tuple[tuple[Expression, bool], ...]


def read_regex(
    pattern: str, *, is_search: bool = False, is_wanted: bool = True, path: str = ""
) -> Parts:
    r"""The expressions that a text must match (True) or must not (False), all of them.

    There are several where the pattern begins with lookaheads. The dialects disagree about `\d`,
    `\w`, `\s` and `.`: a text that is written matches in all of them.

    Args:
        pattern: the regular expression.
        is_search: it may match anywhere in the text, as in JSON schema; else the whole text.
        is_wanted: the text is to match it, not to fail it.
        path: where it stands in a schema, for messages.

    Raises:
        GrammarSyntaxError: it is no regular expression.
        UnsupportedKeywordError: it uses what is not regular, such as back references.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = sre_parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise GrammarSyntaxError(
            f"{pattern!r} is no regular expression: {error}", path=path
        ) from error
    if parsed.state.flags & ~_KNOWN_FLAGS:
        raise UnsupportedKeywordError("pattern", f"{pattern!r} has flags", path=path)
    reader = _Reader(pattern, path, parsed.state.flags, is_wide=not is_wanted)
    return reader.whole(list(parsed), is_search=is_search)


def _folded(code: int) -> str:
    """Is the same for characters that differ in case alone."""
    lower = chr(code).lower()[0]
    upper = lower.upper()
    return upper if len(upper) == 1 else lower


@cache
def _alike() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for code in range(_LAST_CASED + 1):
        found.setdefault(_folded(code), []).append(code)
    return found


class _Reader:
    """Reads one expression; where `is_wide`, as what matches in any dialect, else in all."""

    def __init__(self, pattern: str, path: str, flags: int, *, is_wide: bool) -> None:
        self._is_wide = is_wide
        self._pattern = pattern
        self._path = path
        self._flags = flags

    def whole(self, items: list[Any], *, is_search: bool) -> Parts:
        is_anchored = bool(items) and items[0][0] is sre.AT and items[0][1] in _STARTS
        ahead: list[tuple[Expression, bool]] = []
        at = 1 if is_anchored else 0
        while (
            (is_anchored or not is_search)
            and at < len(items)
            and items[at][0] in (sre.ASSERT, sre.ASSERT_NOT)
        ):
            operator, (direction, inner) = items[at]
            if direction < 0:
                raise self._unsupported("a lookbehind")
            is_wanted = operator is sre.ASSERT
            reader = _Reader(self._pattern, self._path, self._flags, is_wide=not is_wanted)
            ahead.append((reader._searched(list(inner), after=True), is_wanted))
            at += 1
        rest = items[:1] * is_anchored + items[at:]
        return ((self._searched(rest, before=is_search, after=is_search), True), *ahead)

    def _searched(
        self, items: list[Any], *, before: bool = False, after: bool = False
    ) -> Expression:
        """`items` between any texts, but for the sides where they are anchored."""
        if len(items) == 1 and items[0][0] is sre.BRANCH:
            branches = items[0][1][1]
            return choice(self._searched(list(b), before=before, after=after) for b in branches)
        if len(items) == 1 and items[0][0] is sre.SUBPATTERN and not any(items[0][1][1:3]):
            return self._searched(list(items[0][1][3]), before=before, after=after)
        while items and items[0][0] is sre.AT and items[0][1] in _STARTS:
            items, before = items[1:], False
        while items and items[-1][0] is sre.AT and items[-1][1] in _ENDS:
            items, after = items[:-1], False
        return sequence(
            ANY_TEXT if before else EMPTY, self._all(items), ANY_TEXT if after else EMPTY
        )

    def _all(self, items: Iterable[Any]) -> Expression:
        return sequence(*(self._one(operator, value) for operator, value in items))

    def _one(self, operator: Any, value: Any) -> Expression:
        readers: dict[Any, Callable[[Any], Expression]] = {
            sre.LITERAL: self._literal,
            sre.NOT_LITERAL: self._not_literal,
            sre.ANY: lambda _: ANY if self._flags & re.DOTALL else self._within_line(),
            sre.IN: lambda items: Characters(self._class(items)),
            sre.BRANCH: lambda branches: choice(self._all(b) for b in branches[1]),
            sre.SUBPATTERN: self._group,
            sre.MAX_REPEAT: self._repeat,
            sre.MIN_REPEAT: self._repeat,
            sre.FAILURE: lambda _: NOTHING,
        }
        if operator not in readers:
            raise self._unsupported(_MEANINGS.get(str(operator), str(operator).lower()))
        return readers[operator](value)

    def _group(self, value: Any) -> Expression:
        _, add_flags, del_flags, inner = value
        if add_flags or del_flags:
            raise self._unsupported("a flag for a part")
        return self._all(inner)

    def _repeat(self, value: Any) -> Expression:
        low, high, inner = value
        if low > MAX_REPEATS or (high != sre.MAXREPEAT and high > MAX_REPEATS):
            raise self._unsupported(f"more than {MAX_REPEATS} repetitions")
        return repeat(self._all(inner), low, None if high == sre.MAXREPEAT else high)

    def _literal(self, code: int) -> Expression:
        cased = self._cased([(code, code)], is_wide=self._is_wide)
        if not cased:
            raise self._unsupported("a lone surrogate")
        return Literal(chr(code)) if cased == ((code, code),) else Characters(cased)

    def _not_literal(self, code: int) -> Expression:
        return Characters(inverted(self._cased([(code, code)], is_wide=not self._is_wide)))

    def _class(self, items: Iterable[Any]) -> Ranges:
        pairs: list[tuple[int, int]] = []
        is_negated = False
        for operator, value in items:
            if operator is sre.NEGATE:
                is_negated = True
            elif operator is sre.LITERAL:
                pairs.append((value, value))
            elif operator is sre.RANGE:
                pairs.append(value)
            elif operator is sre.CATEGORY and (value in _NARROW or value in _OPPOSITES):
                pairs += self._category(value, is_wide=self._is_wide != self._is_negated(items))
            else:
                raise self._unsupported(str(operator).lower())
        found = self._cased(pairs, is_wide=self._is_wide != is_negated)
        return inverted(found) if is_negated else found

    def _is_negated(self, items: Iterable[Any]) -> bool:
        return any(operator is sre.NEGATE for operator, _ in items)

    def _category(self, category: Any, *, is_wide: bool) -> Ranges:
        if category in _OPPOSITES:
            return inverted(self._category(_OPPOSITES[category], is_wide=not is_wide))
        return _wide(category) if is_wide else _NARROW[category]

    def _within_line(self) -> Expression:
        return Characters(inverted(_LINE_END if self._is_wide else _ANY_LINE_END))

    def _cased(self, pairs: list[tuple[int, int]], *, is_wide: bool) -> Ranges:
        """With what differs in case alone; where `is_wide`, all that some dialect takes for it."""
        found = ranges(pairs)
        if not self._flags & re.IGNORECASE:
            return found
        last = _LAST_CASED if is_wide else 0x24F
        codes = {c for low, high in found for c in range(low, min(high, last) + 1)}
        if is_wide:
            folds = {_folded(code) for code in codes}
            return ranges([*found, *((c, c) for fold in folds for c in _alike()[fold])])
        texts = {t for c in codes for t in (chr(c).lower(), chr(c).upper()) if len(t) == 1}
        return ranges([*found, *((ord(t), ord(t)) for t in texts)])

    def _unsupported(self, what: str) -> UnsupportedKeywordError:
        return UnsupportedKeywordError(
            "pattern", f"{self._pattern!r} has {what}, which is not regular here", path=self._path
        )


_MEANINGS = {
    "ASSERT": "a lookahead or lookbehind that is not at its beginning",
    "ASSERT_NOT": "a lookahead or lookbehind that is not at its beginning",
    "AT": "an anchor inside",
    "GROUPREF": "a back reference",
    "GROUPREF_EXISTS": "a conditional group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
}
