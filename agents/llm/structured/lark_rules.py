"""What becomes of a Lark grammar's rules once all are read."""

from collections.abc import Callable, Iterator, Mapping

from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.expression import (
    Choice,
    Expression,
    Lexeme,
    Literal,
    Repeat,
    Rule,
    Sequence,
    choice,
    mapper,
    repeat,
    rules_in,
    sequence,
)
from agents.llm.structured.json_text import COLON, COMMA

MAX_INLINED = 20_000


def spaced(expression: Expression, gap: Expression) -> Expression:
    """The same with `gap` before each terminal."""

    def leaf(item: Expression) -> Expression:
        is_terminal = isinstance(item, Lexeme) or (isinstance(item, Rule) and item.name.isupper())
        return sequence(gap, item) if is_terminal else item

    return _mapped(expression, leaf)


def renamed(expression: Expression, prefix: str) -> Expression:
    """A part of a JSON schema whose rules' names begin with `prefix`."""

    def leaf(rule: Rule) -> Expression:
        is_separator = rule in (COMMA, COLON)
        return Lexeme(Literal(rule.name)) if is_separator else Rule(prefix + rule.name)

    return mapper(leaf)(expression)


def without_left_recursion(name: str, body: Expression) -> Expression:
    """`a: a x | y` as `a: y x*`."""
    items = body.items if isinstance(body, Choice) else (body,)
    mine = [i.items[1:] for i in items if isinstance(i, Sequence) and i.items[:1] == (Rule(name),)]
    others = [
        i
        for i in items
        if i != Rule(name) and not (isinstance(i, Sequence) and i.items[:1] == (Rule(name),))
    ]
    if not mine and len(others) == len(items):
        return body
    return sequence(choice(others), repeat(choice(sequence(*rest) for rest in mine)))


def refuse_left_recursion(rules: Mapping[str, Expression]) -> None:
    """Refuse rules that begin with themselves through others."""
    empty: set[str] = set()
    while more := {n for n, b in rules.items() if n not in empty and _may_be_empty(b, empty)}:
        empty |= more
    firsts = {name: set(_firsts(body, empty)) for name, body in rules.items()}
    for name in rules:
        seen: set[str] = set()
        todo = list(firsts[name])
        while todo:
            first = todo.pop()
            if first == name:
                raise UnsupportedKeywordError(
                    name, "the rule begins with itself through others; write it as a repetition"
                )
            if first not in seen:
                seen.add(first)
                todo += firsts[first]


def _may_be_empty(expression: Expression, empty: set[str]) -> bool:
    match expression:
        case Literal(text):
            return not text
        case Sequence(items):
            return all(_may_be_empty(item, empty) for item in items)
        case Choice(items):
            return any(_may_be_empty(item, empty) for item in items)
        case Repeat(item, low):
            return low == 0 or _may_be_empty(item, empty)
        case Rule(name):
            return name in empty
        case _:
            return False


def _firsts(expression: Expression, empty: set[str]) -> Iterator[str]:
    """The rules that may stand at its beginning."""
    match expression:
        case Sequence(items):
            for item in items:
                yield from _firsts(item, empty)
                if not _may_be_empty(item, empty):
                    return
        case Choice(items):
            for item in items:
                yield from _firsts(item, empty)
        case Repeat(item):
            yield from _firsts(item, empty)
        case Rule(name):
            yield name
        case _:
            pass


def as_one(start: str, rules: Mapping[str, Expression]) -> Expression | None:
    """All that `start` stands for without names; None where it recurs, or that would be large."""
    if _recurs(start, rules):
        return None
    try:
        return _Inliner(rules).inlined(Rule(start))
    except OverflowError:
        return None


def _recurs(start: str, rules: Mapping[str, Expression]) -> bool:
    """Whether a rule that `start` needs refers to itself, directly or through others."""
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> bool:
        if name in path:
            return True
        if name in done:
            return False
        path.append(name)
        found = any(visit(used) for used in rules_in(rules[name]))
        path.pop()
        done.add(name)
        return found

    return visit(start)


def _mapped(expression: Expression, leaf: Callable[[Expression], Expression]) -> Expression:
    """The same with `leaf` of each rule and lexeme."""
    match expression:
        case Sequence(items):
            return sequence(*(_mapped(item, leaf) for item in items))
        case Choice(items):
            return choice(_mapped(item, leaf) for item in items)
        case Repeat(item, low, high):
            return repeat(_mapped(item, leaf), low, high)
        case Rule() | Lexeme():
            return leaf(expression)
        case _:
            return expression


class _Inliner:
    """Puts rules in the place of their names, as long as that stays small."""

    def __init__(self, rules: Mapping[str, Expression]) -> None:
        self._rules = rules
        self._count = 0

    def inlined(self, expression: Expression) -> Expression:
        self._count += 1
        if self._count > MAX_INLINED:
            raise OverflowError

        def leaf(item: Expression) -> Expression:
            assert isinstance(item, Rule)
            return self.inlined(self._rules[item.name])

        return _mapped(expression, leaf)
