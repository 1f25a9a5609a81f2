"""A grammar made ready for one vocabulary: what each of its parts costs in tokens."""

from collections.abc import Mapping
from os.path import commonprefix
from typing import TypeVar

from agents.llm.structured.expression import (
    Characters,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Ranges,
    Repeat,
    Rule,
    Sequence,
    choice,
    sequence,
)
from agents.llm.structured.utf8 import ByteRanges, byte_ranges
from agents.llm.structured.vocabulary import INFINITE, TextTokens, Vocabulary

_MAX_PEAK_PASSES = 100
_MANY_CHARACTERS = 50  # of which a vocabulary has many tokens
_MANY = 64  # texts, from which on those that begin alike are followed together


class Node:
    """A part of a grammar.

    Attributes:
        cost: tokens that spell its shortest text, at most; INFINITE if it has none.
        peak: what the end of it can still cost while it is written, at most.
    """

    __slots__ = ("cost", "peak")

    def __init__(self, cost: int = INFINITE) -> None:
        self.cost = cost
        self.peak = 0

    def find_cost(self) -> int:
        return self.cost

    def find_peak(self) -> int:
        return self.peak


class Bytes(Node):
    """One byte out of each range, one after the other; `costs` from each position on."""

    __slots__ = ("costs", "ranges")

    def __init__(self, ranges: ByteRanges, costs: tuple[int, ...]) -> None:
        super().__init__(costs[0])
        self.ranges = ranges
        self.costs = costs
        self.peak = max(cost for cost in costs if cost < INFINITE)


class All(Node):
    """Each of `items`; `rests` is what those from a position on cost."""

    __slots__ = ("items", "rests")

    def __init__(self, items: list[Node]) -> None:
        super().__init__()
        self.items = items
        self.rests = [INFINITE] * len(items) + [0]

    def find_cost(self) -> int:
        for i in range(len(self.items) - 1, -1, -1):
            self.rests[i] = min(INFINITE, self.items[i].cost + self.rests[i + 1])
        return self.rests[0]

    def find_peak(self) -> int:
        if self.cost == INFINITE:
            return 0
        rests = zip(self.items, self.rests[1:], strict=True)
        return max((max(i.peak, i.cost) + rest for i, rest in rests), default=0)


class AnyOf(Node):
    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        super().__init__()
        self.items = items

    def find_cost(self) -> int:
        return min((item.cost for item in self.items), default=INFINITE)

    def find_peak(self) -> int:
        return max((i.peak for i in self.items if i.cost < INFINITE), default=0)


class Times(Node):
    """`item` from `low` to `high` times.

    Attributes:
        text: the tokens of characters that are items of it; None where those are few.
    """

    __slots__ = ("high", "item", "low", "text")

    def __init__(self, item: Node, low: int, high: int | None, text: TextTokens | None) -> None:
        super().__init__()
        self.item = item
        self.low = low
        self.high = high
        self.text = text

    def find_cost(self) -> int:
        if self.item.cost == 0:
            self.low = 0
        return min(INFINITE, self.low * self.item.cost) if self.low else 0

    def find_peak(self) -> int:
        if self.item.cost == INFINITE:
            return 0
        return max(self.cost, self.item.peak + max(self.low - 1, 0) * self.item.cost)


class Named(Node):
    """What a rule says."""

    __slots__ = ("target",)

    target: Node

    def find_cost(self) -> int:
        return self.target.cost

    def find_peak(self) -> int:
        return self.target.peak


NodeT = TypeVar("NodeT", bound=Node)


class Program:
    """The nodes of a grammar.

    Attributes:
        start: its root.
        peak: tokens with which an answer can be ended wherever it stands; INFINITE where rules
            recur, so that there is no such number.
        has_dead_ends: some part, or the rest of one, cannot be spelt with the vocabulary.
    """

    def __init__(
        self, start: Expression, rules: Mapping[str, Expression], vocabulary: Vocabulary
    ) -> None:
        self._vocabulary = vocabulary
        self._known: dict[Expression, Node] = {}
        self._composed: list[Node] = []
        self._bytes: list[Bytes] = []
        self._named: dict[str, Named] = {}
        self._unbuilt: dict[str, Named] = {}
        self.start = self._node(start)
        while self._unbuilt:
            name, node = self._unbuilt.popitem()
            node.target = self._node(rules[name])
        self._settle_costs()
        self.peak = self._settle_peaks()
        del self._vocabulary  # it outlives no grammar that is kept for it
        self.has_dead_ends = any(
            INFINITE in node.costs if isinstance(node, Bytes) else node.cost == INFINITE
            for node in (*self._bytes, *self._composed)
        )

    def _node(self, expression: Expression) -> Node:
        node = self._known.get(expression)
        if node is None:
            node = self._known[expression] = self._new(expression)
        return node

    def _new(  # noqa: PLR0911  a case for each kind of expression
        self, expression: Expression
    ) -> Node:
        match expression:
            case Literal(text):
                return self._literal(text)
            case Characters(pairs):
                parts: list[Node]
                parts = [self._range(*p) for low, high in pairs for p in byte_ranges(low, high)]
                return parts[0] if len(parts) == 1 else self._compose(AnyOf(parts))
            case Sequence(items):
                return self._compose(All([self._node(item) for item in _joined(items)]))
            case Choice(items):
                some = _by_beginning(items) if len(items) > _MANY else items
                return self._compose(AnyOf([self._node(item) for item in some]))
            case Repeat(item, low, high):
                return self._compose(Times(self._node(item), low, high, self._text(item)))
            case Lexeme(item):
                return self._node(item)
            case Rule(name):
                if name not in self._named:
                    self._named[name] = self._unbuilt[name] = self._compose(Named())
                return self._named[name]

    def _text(self, item: Expression) -> TextTokens | None:
        parts = item.items if isinstance(item, Choice) else (item,)
        for part in parts:
            if isinstance(part, Characters) and _size(part.ranges) >= _MANY_CHARACTERS:
                return self._vocabulary.text_tokens(part.ranges)
        return None

    def _compose(self, node: NodeT) -> NodeT:
        self._composed.append(node)
        return node

    def _literal(self, text: str) -> Node:
        if not text:
            return self._compose(All([]))
        data = text.encode()
        return self._add(Bytes(tuple((b, b) for b in data), self._vocabulary.costs(data)))

    def _range(self, low: int, high: int, ranges: ByteRanges) -> Node:
        costs = [0] * (len(ranges) + 1)
        for i in range(len(ranges) - 1, -1, -1):
            cost = 1 if self._vocabulary.has_byte(*ranges[i]) else INFINITE
            costs[i] = min(INFINITE, cost + costs[i + 1])
        if self._vocabulary.has_character(low, high):
            costs[0] = 1
        return self._add(Bytes(ranges, tuple(costs)))

    def _add(self, node: Bytes) -> Bytes:
        self._bytes.append(node)
        return node

    def _settle_costs(self) -> None:
        """The least costs that agree with each other; rules that only recur cost INFINITE."""
        is_settled = False
        while not is_settled:
            is_settled = True
            self._composed.reverse()  # parts come before what they are in, rules behind
            for node in self._composed:
                cost = node.find_cost()
                if cost != node.cost:
                    node.cost = cost
                    is_settled = False

    def _settle_peaks(self) -> int:
        for _ in range(_MAX_PEAK_PASSES):
            is_settled = True
            self._composed.reverse()
            for node in self._composed:
                peak = node.find_peak()
                if peak != node.peak:
                    node.peak = peak
                    is_settled = False
            if is_settled:
                return max(self.start.peak, self.start.cost)
        return INFINITE


def _by_beginning(items: tuple[Expression, ...]) -> list[Expression]:
    """The same choice with the texts that begin alike put together."""
    found: list[Expression] = [item for item in items if not isinstance(item, Literal)]
    texts = [item.text for item in items if isinstance(item, Literal)]
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[:1], []).append(text)
    for group in groups.values():
        common = commonprefix(group)  # noqa: RUF071  character by character, as it says
        rest = [Literal(text[len(common) :]) for text in group]
        found.append(Literal(common) if len(rest) == 1 else sequence(Literal(common), choice(rest)))
    return found


def _joined(items: tuple[Expression, ...]) -> list[Expression]:
    """Literals in a row as one, which takes fewer tokens."""
    joined: list[Expression] = []
    for item in items:
        bare = item.item if isinstance(item, Lexeme) else item
        for part in bare.items if isinstance(bare, Sequence) else (bare,):
            if isinstance(part, Literal) and joined and isinstance(joined[-1], Literal):
                joined[-1] = Literal(joined[-1].text + part.text)
            else:
                joined.append(part)
    return joined


def _size(ranges: Ranges) -> int:
    return sum(high - low + 1 for low, high in ranges)
