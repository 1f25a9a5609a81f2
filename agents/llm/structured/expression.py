"""What a text may look like: expressions of characters, sequences, choices and repetitions.

Schemas, regexes and Lark grammars are all read into these; the masks and the budget are computed
from them, so that both follow one language.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_CODE_POINT = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of these code points; the ranges are sorted and apart."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; none at all is the empty text."""

    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these; no item at all is no text whatever."""

    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """`item` from `low` to `high` times; None is without limit."""

    item: "Expression"
    low: int = 0
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What the grammar's rule of this name says; how expressions recur."""

    name: str


@dataclass(frozen=True, slots=True)
class Lexeme:
    """`item`, read as one unit: no other lexeme of the grammar is a proper beginning of it.

    Attributes:
        both: regular expressions that `item` is the intersection of, where it is one; the second
            of each pair says whether a text must match it or must not.
    """

    item: "Expression"
    both: "tuple[tuple[Expression, bool], ...]" = ()


Expression = Literal | Characters | Sequence | Choice | Repeat | Rule | Lexeme

EMPTY = Sequence(())
NOTHING = Choice(())


def ranges(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, joined, and without surrogates, which are no characters."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(_without_surrogates(pairs)):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def inverted(excluded: Ranges) -> Ranges:
    """All other code points."""
    pairs = []
    start = 0
    for low, high in excluded:
        if low > start:
            pairs.append((start, low - 1))
        start = high + 1
    if start <= MAX_CODE_POINT:
        pairs.append((start, MAX_CODE_POINT))
    return ranges(pairs)


def overlap(a: Ranges, b: Ranges) -> Ranges:
    """The code points of both."""
    return ranges((max(x, u), min(y, v)) for x, y in a for u, v in b if max(x, u) <= min(y, v))


def sequence(*items: Expression) -> Expression:
    """`Sequence`, flat, and nothing where one part is."""
    flat: list[Expression] = []
    for item in items:
        if item == NOTHING:
            return NOTHING
        flat.extend(item.items if isinstance(item, Sequence) else [item])
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choice(items: Iterable[Expression]) -> Expression:
    """`Choice`, flat and each item once."""
    flat: dict[Expression, None] = {}
    for item in items:
        flat.update(dict.fromkeys(item.items if isinstance(item, Choice) else [item]))
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(flat))


def repeat(item: Expression, low: int = 0, high: int | None = None) -> Expression:
    """`Repeat`, or what it comes to."""
    if high is not None and low > high:
        return NOTHING
    if high == 0 or item == EMPTY:
        return EMPTY
    if item == NOTHING:
        return NOTHING if low else EMPTY
    return item if (low, high) == (1, 1) else Repeat(item, low, high)


def optional(item: Expression) -> Expression:
    """`item` or the empty text."""
    return repeat(item, 0, 1)


def characters(*pairs: tuple[str, str] | str) -> Expression:
    """`Characters` of single ones and of ranges: `characters(("a", "z"), "_")`."""
    return Characters(ranges((ord(pair[0]), ord(pair[-1])) for pair in pairs))


def rules_in(expression: Expression) -> Iterator[str]:
    """The names of the rules that it refers to."""
    match expression:
        case Rule(name):
            yield name
        case Sequence(items) | Choice(items):
            for item in items:
                yield from rules_in(item)
        case Repeat(item) | Lexeme(item):
            yield from rules_in(item)
        case _:
            pass


def mapper(leaf: Callable[[Rule], Expression]) -> Callable[[Expression], Expression]:
    """A function that puts `leaf` of each rule in its place; parts in common stay in common."""
    known: dict[int, tuple[Expression, Expression]] = {}  # the keys' owners are kept alive

    def mapped(expression: Expression) -> Expression:
        if id(expression) not in known:
            known[id(expression)] = expression, new(expression)
        return known[id(expression)][1]

    def new(expression: Expression) -> Expression:
        match expression:
            case Rule():
                return leaf(expression)
            case Lexeme(item, both):
                found = mapped(item)
                return NOTHING if found == NOTHING else Lexeme(found, both)
            case Sequence(items):
                return sequence(*(mapped(item) for item in items))
            case Choice(items):
                return choice(part for item in items if (part := mapped(item)) != NOTHING)
            case Repeat(item, low, high):
                return repeat(mapped(item), low, high)
            case _:
                return expression

    return mapped


def without_lexemes(expression: Expression) -> Expression:
    """The same character by character, so that anything may stand beside it."""
    match expression:
        case Lexeme(item):
            return without_lexemes(item)
        case Sequence(items):
            return sequence(*(without_lexemes(item) for item in items))
        case Choice(items):
            return choice(without_lexemes(item) for item in items)
        case Repeat(item, low, high):
            return repeat(without_lexemes(item), low, high)
        case _:
            return expression


def _without_surrogates(pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first, last = _SURROGATES
    for low, high in pairs:
        if low < first:
            yield low, min(high, first - 1)
        if high > last:
            yield max(low, last + 1), high
