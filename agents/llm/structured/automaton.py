"""Intersections and complements of regular expressions, as deterministic automata.

Only for what a plain expression cannot say: a pattern with a length, several patterns, all texts
but some.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from agents.llm.structured.errors import GrammarTooLargeError
from agents.llm.structured.expression import (
    EMPTY,
    MAX_CODE_POINT,
    Characters,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Ranges,
    Repeat,
    Rule,
    choice,
    ranges,
    sequence,
)
from agents.llm.structured.expression import Sequence as SequenceOf

MAX_STATES = 20_000
# Where a state costs more than usual, fewer are made.
_CUTS_A_STATE = 20
_WORK_A_STATE = 50

_Set = frozenset[int]


def intersection(
    parts: Sequence[tuple[Expression, bool]],
    write: Callable[[Ranges], Expression],
    name: str,
    *,
    path: str = "",
) -> tuple[Expression, dict[str, Expression]]:
    """The texts that match each expression marked True and none marked False.

    Args:
        parts: expressions without rules.
        write: how a character stands in the answer; it may be escaped there.
        name: the rules that are returned along are called after it.
        path: where it stands in a schema, for messages.

    Raises:
        GrammarTooLargeError: the automaton has too many states.
    """
    machines = [_Machine(expression, path) for expression, _ in parts]
    edges, accepting = _product(machines, [is_wanted for _, is_wanted in parts], path)
    alive = _alive(edges, accepting)
    rules = {
        f"{name}.{number}": choice(
            [
                *([EMPTY] if accepting[number] else []),
                *(
                    sequence(write(ranges(pairs)), Rule(f"{name}.{target}"))
                    for target, pairs in targets.items()
                    if target in alive
                ),
            ]
        )
        for number, targets in enumerate(edges)
        if number in alive or number == 0
    }
    return Rule(f"{name}.0"), rules


def _product(
    machines: "Sequence[_Machine]", wanted: Sequence[bool], path: str
) -> tuple[list[dict[int, list[tuple[int, int]]]], list[bool]]:
    """All machines side by side, from state 0 on.

    Returns:
        For each state the states it leads to, with the characters that lead there; and whether it
        accepts: exactly the `wanted` machines have come to their end.
    """
    classes = _classes(machines)
    start = tuple(m.start for m in machines)
    numbers = {start: 0}
    edges: list[dict[int, list[tuple[int, int]]]] = []
    accepting: list[bool] = []
    for state in (queue := [start]):
        targets: dict[int, list[tuple[int, int]]] = {}
        for pairs in classes:
            code = pairs[0][0]
            target = tuple(m.step(s, code) for m, s in zip(machines, state, strict=True))
            if any(w and not s for w, s in zip(wanted, target, strict=True)):
                continue
            if target not in numbers:
                numbers[target] = len(numbers)
                queue.append(target)
                _check_size(len(numbers), path)
                _check_size(len(numbers) * len(classes) // _CUTS_A_STATE, path)
            targets.setdefault(numbers[target], []).extend(pairs)
        edges.append(targets)
        accepting.append(
            all((m.end in s) == w for m, s, w in zip(machines, state, wanted, strict=True))
        )
    return edges, accepting


def _classes(machines: "Sequence[_Machine]") -> list[list[tuple[int, int]]]:
    """All characters, those together that no expression tells apart."""
    cuts = sorted({0, *(cut for m in machines for cut in m.cuts if cut <= MAX_CODE_POINT)})
    kinds = {pairs for m in machines for pairs in m.kinds}
    classes: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
    for cut, end in zip(cuts, [*cuts[1:], MAX_CODE_POINT + 1], strict=True):
        belongs = tuple(_contains(pairs, cut) for pairs in kinds)
        classes.setdefault(belongs, []).append((cut, end - 1))
    return list(classes.values())


class _Machine:
    """A nondeterministic automaton (Thompson's), stepped by sets of states."""

    def __init__(self, expression: Expression, path: str) -> None:
        self._path = path
        self._work = 0
        self._empty: list[list[int]] = []
        self._edges: list[list[tuple[Ranges, int]]] = []
        self._steps: dict[tuple[_Set, int], _Set] = {}
        self._closures: dict[_Set, _Set] = {}
        self.cuts: set[int] = set()
        self.kinds: set[Ranges] = set()
        first, self.end = self._new(), self._new()
        self._add(expression, first, self.end)
        self.start = self._closure({first})

    def step(self, states: _Set, code: int) -> _Set:
        key = (states, code)
        if key not in self._steps:
            found = frozenset(
                target
                for state in states
                for pairs, target in self._edges[state]
                if _contains(pairs, code)
            )
            if found not in self._closures:
                self._closures[found] = self._closure(set(found))
            after = self._steps[key] = self._closures[found]
            self._work += len(after)
            _check_size(self._work // _WORK_A_STATE, self._path)
        return self._steps[key]

    def _new(self) -> int:
        self._empty.append([])
        self._edges.append([])
        _check_size(len(self._empty) // 10, self._path)
        return len(self._empty) - 1

    def _add(  # noqa: C901  a case for each kind of expression
        self, expression: Expression, start: int, end: int
    ) -> None:
        match expression:
            case Literal(text):
                for char in text[:-1]:
                    middle = self._new()
                    self._edge(start, ((ord(char), ord(char)),), middle)
                    start = middle
                if text:
                    self._edge(start, ((ord(text[-1]), ord(text[-1])),), end)
                else:
                    self._empty[start].append(end)
            case Characters(pairs):
                self._edge(start, pairs, end)
            case SequenceOf(items):
                for item in items:
                    middle = self._new()
                    self._add(item, start, middle)
                    start = middle
                self._empty[start].append(end)
            case Choice(items):
                for item in items:
                    first, last = self._new(), self._new()
                    self._empty[start].append(first)
                    self._add(item, first, last)
                    self._empty[last].append(end)
            case Repeat(item, low, high):
                self._repeat(item, low, high, start, end)
            case Lexeme(item):
                self._add(item, start, end)
            case Rule(name):
                raise AssertionError(f"{name} is a rule, and rules are not regular")

    def _repeat(self, item: Expression, low: int, high: int | None, start: int, end: int) -> None:
        for _ in range(low):
            middle = self._new()
            self._add(item, start, middle)
            start = middle
        if high is None:
            loop, back = self._new(), self._new()
            self._empty[start].append(loop)
            self._add(item, loop, back)
            self._empty[back].append(loop)
            self._empty[loop].append(end)
            return
        for _ in range(high - low):
            self._empty[start].append(end)
            first, last = self._new(), self._new()
            self._empty[start].append(first)
            self._add(item, first, last)
            start = last
        self._empty[start].append(end)

    def _edge(self, start: int, pairs: Ranges, end: int) -> None:
        self._edges[start].append((pairs, end))
        self.kinds.add(pairs)
        for low, high in pairs:
            self.cuts |= {low, high + 1}

    def _closure(self, states: set[int]) -> _Set:
        todo = list(states)
        while todo:
            for target in self._empty[todo.pop()]:
                if target not in states:
                    states.add(target)
                    todo.append(target)
        return frozenset(states)


def _contains(pairs: Ranges, code: int) -> bool:
    at = bisect_right(pairs, (code, MAX_CODE_POINT + 1)) - 1
    return at >= 0 and pairs[at][1] >= code


def _alive(edges: list[dict[int, list[tuple[int, int]]]], accepting: list[bool]) -> set[int]:
    """The states from which a text can end."""
    before: dict[int, list[int]] = {}
    for number, targets in enumerate(edges):
        for target in targets:
            before.setdefault(target, []).append(number)
    alive = {number for number, is_end in enumerate(accepting) if is_end}
    todo = list(alive)
    while todo:
        for number in before.get(todo.pop(), ()):
            if number not in alive:
                alive.add(number)
                todo.append(number)
    return alive


def _check_size(states: int, path: str) -> None:
    if states > MAX_STATES:
        raise GrammarTooLargeError(
            f"the pattern and its limits need more than {MAX_STATES} states; shorten them",
            path=path,
        )
