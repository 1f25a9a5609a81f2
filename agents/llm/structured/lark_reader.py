"""Reads grammars in Lark's notation: rules, terminals, imports of `common`, `%ignore`, `%json`."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from agents.llm.structured.errors import GrammarSyntaxError, UnsupportedKeywordError
from agents.llm.structured.expression import (
    EMPTY,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Repeat,
    Rule,
    Sequence,
    characters,
    choice,
    mapper,
    optional,
    repeat,
    rules_in,
    sequence,
    without_lexemes,
)
from agents.llm.structured.json_schema import read_schema
from agents.llm.structured.json_text import COLON, COMMA
from agents.llm.structured.regex import MAX_REPEATS, read_regex

MAX_CHARACTERS = 200_000
MAX_INLINED = 20_000

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+|//[^\n]*|\#[^\n]*|\\\n)
  | (?P<line>\n\s*(?=[?!]*[A-Za-z_%])|\n\s*\Z)
  | (?P<newline>\n)
  | (?P<string>"(?:\\.|[^"\\\n])*"i?)
  | (?P<regex>/(?!/)(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+/[imslux]*)
  | (?P<directive>%[a-z]+)
  | (?P<special><[^>\n]*>|@[A-Za-z_]\w*)
  | (?P<name>[?!]*[A-Za-z_][\w-]*)
  | (?P<repeat>\{\s*\d*\s*(?:,\s*\d*\s*)?\}|~\s*\d+\s*(?:\.\.\s*\d+)?)
  | (?P<sign>\.\.|->|[:|()\[\].?*+,=&~{}])
    """,
    re.VERBOSE,
)

_COMMON = {
    "DIGIT": r"[0-9]",
    "HEXDIGIT": r"[0-9a-fA-F]",
    "INT": r"[0-9]+",
    "SIGNED_INT": r"[+-]?[0-9]+",
    "DECIMAL": r"[0-9]+\.[0-9]*|\.[0-9]+",
    "FLOAT": r"[0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "NUMBER": r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?",
    "SIGNED_NUMBER": r"[+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)",
    "LCASE_LETTER": r"[a-z]",
    "UCASE_LETTER": r"[A-Z]",
    "LETTER": r"[A-Za-z]",
    "WORD": r"[A-Za-z]+",
    "CNAME": r"[A-Za-z_][A-Za-z0-9_]*",
    "ESCAPED_STRING": r'"([^"\\\n]|\\["\\/bfnrt])*"',
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(\r?\n)+",
}


def read_lark(text: str) -> tuple[Expression, dict[str, Expression]]:
    """The start (the rule `start`) and the rules of a grammar.

    It is read as a context-free grammar of characters: terminals are not longest matches.

    Raises:
        GrammarSyntaxError: it is not well formed, or a rule is missing.
        UnsupportedKeywordError: it uses what is not enforced here.
    """
    if len(text) > MAX_CHARACTERS:
        raise GrammarSyntaxError(f"the grammar has more than {MAX_CHARACTERS} characters")
    try:
        return _read(text)
    except RecursionError as error:
        raise GrammarSyntaxError("the grammar is nested too deeply") from error


def _read(text: str) -> tuple[Expression, dict[str, Expression]]:
    reader = _Reader(list(_tokens(text)), text)
    rules = reader.rules()
    if "start" not in rules:
        raise GrammarSyntaxError("the grammar has no rule called 'start'")
    for name in list(rules):
        rules[name] = _without_left_recursion(name, rules[name])
    _refuse_left_recursion(rules)
    if not _recurs("start", rules):
        inlined = _Inliner(rules).inlined(Rule("start"))
        if inlined is not None:
            return Lexeme(inlined), {}
    return Rule("start"), rules


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            line = text.count("\n", 0, at) + 1
            raise GrammarSyntaxError(f"line {line}: {text[at : at + 20]!r} is not understood")
        kind = str(found.lastgroup)
        if kind == "directive" and found.group() == "%json":
            value, end = _json_at(text, found.end())
            yield _Token("json", json.dumps(value), at)
            at = end
            continue
        if kind not in ("space", "newline"):
            yield _Token(kind, found.group(), at)
        at = found.end()


def _json_at(text: str, at: int) -> tuple[object, int]:
    start = at + len(text[at:]) - len(text[at:].lstrip())
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except ValueError as error:
        raise GrammarSyntaxError(f"%json is not followed by JSON: {error}") from error
    return value, end


class _Reader:
    def __init__(self, tokens: list[_Token], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._at = 0
        self._rules: dict[str, Expression] = {}
        self._ignored: list[Expression] = []
        self._in_terminal = False

    def rules(self) -> dict[str, Expression]:
        while self._at < len(self._tokens):
            token = self._next()
            if token.kind == "line":
                continue
            if token.kind == "directive":
                self._directive(token)
            elif token.kind == "name":
                self._definition(token)
            else:
                self._fail(token)
        if self._ignored:
            self._ignore()
        self._check_names()
        return self._rules

    def _definition(self, token: _Token) -> None:
        name = token.text.lstrip("?!")
        if self._is_sign("["):
            raise UnsupportedKeywordError(name, "attributes of rules are not read")
        if name in self._rules:
            raise GrammarSyntaxError(f"{name} is defined twice")
        self._expect(":")
        self._in_terminal = name.isupper()
        self._rules[name] = self._alternatives()
        if self._peek().kind not in ("line", "end"):
            self._fail(self._peek())

    def _directive(self, token: _Token) -> None:
        if token.text == "%import":
            self._import()
        elif token.text == "%ignore":
            self._in_terminal = True
            self._ignored.append(self._alternatives())
        else:
            raise UnsupportedKeywordError(token.text, "this directive is not read")

    def _import(self) -> None:
        path = [self._next().text]
        while self._is_sign("."):
            self._next()
            path.append(self._next().text)
        names = [path[-1]]
        if self._is_sign("("):
            self._next()
            names = []
            while not self._is_sign(")"):
                names.append(self._next().text)
                if self._is_sign(","):
                    self._next()
            self._next()
        alias = None
        if self._is_sign("->"):
            self._next()
            alias = self._next().text
        for name in names:
            if path[0] != "common" or name not in _COMMON:
                raise UnsupportedKeywordError(
                    "%import", f"{'.'.join(path)}: only terminals of common are known"
                )
            self._rules[alias or name] = _regex(_COMMON[name])

    def _alternatives(self) -> Expression:
        found = [self._items()]
        while self._is_sign("|"):
            self._next()
            found.append(self._items())
        return choice(found)

    def _items(self) -> Expression:
        found: list[Expression] = []
        while True:
            token = self._peek()
            if token.text == "->" and token.kind == "sign":
                self._next()
                self._next()
            elif token.kind == "line" and self._is_continued():
                self._next()
            elif token.kind in ("line", "end") or token.text in ("|", ")", "]"):
                return sequence(*found)
            else:
                found.append(self._repeated())

    def _is_continued(self) -> bool:
        """Whether the next line goes on with an expression: no `name:` and no directive."""
        after = self._tokens[self._at + 1 :][:2]
        if not after or after[0].kind == "directive":
            return False
        if after[0].kind != "name":
            return True
        return not any(token.text in (":", ".", "[", "{") for token in after[1:])

    def _repeated(self) -> Expression:
        item = self._atom()
        while self._peek().kind == "repeat" or self._peek().text in ("?", "*", "+"):
            token = self._next()
            low, high = _bounds(token.text)
            if max(low, high or 0) > MAX_REPEATS or (high is not None and low > high):
                self._fail(token)
            item = repeat(item, low, high)
        return item

    def _atom(self) -> Expression:
        token = self._next()
        if token.kind == "string":
            return self._string(token)
        if token.kind == "regex":
            body, _, flags = token.text[1:].rpartition("/")
            return self._terminal(_regex(body.replace("\\/", "/"), flags))
        if token.kind == "name":
            return Rule(token.text)
        if token.kind == "json":
            start, rules = read_schema(json.loads(token.text))
            prefix = f"json{token.at}."
            self._rules |= {prefix + n: _renamed(e, prefix) for n, e in rules.items()}
            return _renamed(start, prefix)
        if token.kind == "special":
            raise UnsupportedKeywordError(
                token.text, "special tokens and other grammars cannot stand in an answer"
            )
        if token.text in ("(", "["):
            inner = self._alternatives()
            self._expect(")" if token.text == "(" else "]")
            return inner if token.text == "(" else optional(inner)
        return self._fail(token)

    def _string(self, token: _Token) -> Expression:
        text, ignores_case = _unquoted(token.text)
        if self._is_sign(".."):
            self._next()
            end, _ = _unquoted(self._next().text)
            if len(text) != 1 or len(end) != 1 or text > end:
                self._fail(token)
            return self._terminal(characters((text, end)))
        if not ignores_case:
            return self._terminal(Literal(text))
        return self._terminal(sequence(*(characters(c.lower(), c.upper()) for c in text)))

    def _terminal(self, expression: Expression) -> Expression:
        """In a rule, marked as one unit: what is ignored may stand before it."""
        return expression if self._in_terminal else Lexeme(expression)

    def _ignore(self) -> None:
        """Let what is ignored stand before each terminal in a rule, and at the end."""
        gap = optional(choice(self._ignored))
        rules = {n: e if n.isupper() else _spaced(e, gap) for n, e in self._rules.items()}
        rules["start"] = sequence(rules.get("start", EMPTY), gap)
        self._rules = rules

    def _check_names(self) -> None:
        self._rules = {name: without_lexemes(body) for name, body in self._rules.items()}
        for name, body in self._rules.items():
            for used in rules_in(body):
                if used not in self._rules:
                    raise GrammarSyntaxError(f"{name} refers to {used}, which is not defined")

    def _peek(self) -> _Token:
        if self._at < len(self._tokens):
            return self._tokens[self._at]
        return _Token("end", "", len(self._text))

    def _next(self) -> _Token:
        token = self._peek()
        if token.kind == "end":
            self._fail(token)
        self._at += 1
        return token

    def _is_sign(self, sign: str) -> bool:
        return self._peek().kind == "sign" and self._peek().text == sign

    def _expect(self, sign: str) -> None:
        token = self._next()
        if token.text != sign:
            self._fail(token, f"; {sign!r} was expected")

    def _fail(self, token: _Token, more: str = "") -> NoReturn:
        line = self._text.count("\n", 0, token.at) + 1
        what = repr(token.text) if token.text.strip() else "the end"
        raise GrammarSyntaxError(f"line {line}: {what} is not understood here{more}")


def _bounds(sign: str) -> tuple[int, int | None]:
    if sign in ("?", "*", "+"):
        return (1, None) if sign == "+" else (0, 1 if sign == "?" else None)
    numbers = re.findall(r"\d+", sign)
    if sign.startswith("~"):
        return int(numbers[0]), int(numbers[-1])
    low, comma, high = sign.strip("{} ").partition(",")
    least = int(low) if low.strip() else 0
    if not comma:
        return least, least
    return least, int(high) if high.strip() else None


def _regex(pattern: str, flags: str = "") -> Expression:
    known = "".join(flag for flag in flags if flag in "is")
    if len(known) < len(flags.replace("u", "")):
        raise UnsupportedKeywordError("pattern", f"/{pattern}/{flags} has flags that are not read")
    parts = read_regex(f"(?{known}){pattern}" if known else pattern)
    if len(parts) > 1:
        raise UnsupportedKeywordError("pattern", f"/{pattern}/ has lookaheads")
    return parts[0][0]


def _unquoted(text: str) -> tuple[str, bool]:
    ignores_case = text.endswith("i")
    try:
        return str(json.loads(text.removesuffix("i").replace("\\'", "'"))), ignores_case
    except ValueError as error:
        raise GrammarSyntaxError(f"{text} is no string: {error}") from error


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


def _renamed(expression: Expression, prefix: str) -> Expression:
    def leaf(rule: Rule) -> Expression:
        is_separator = rule in (COMMA, COLON)
        return Lexeme(Literal(rule.name)) if is_separator else Rule(prefix + rule.name)

    return mapper(leaf)(expression)


def _spaced(expression: Expression, gap: Expression) -> Expression:
    def leaf(item: Expression) -> Expression:
        is_terminal = isinstance(item, Lexeme) or (isinstance(item, Rule) and item.name.isupper())
        return sequence(gap, item) if is_terminal else item

    return _mapped(expression, leaf)


def _without_left_recursion(name: str, body: Expression) -> Expression:
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


def _refuse_left_recursion(rules: Mapping[str, Expression]) -> None:
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


class _Inliner:
    """Puts rules in the place of their names, as long as that stays small."""

    def __init__(self, rules: Mapping[str, Expression]) -> None:
        self._rules = rules
        self._count = 0

    def inlined(self, expression: Expression) -> Expression | None:
        try:
            return self._inlined(expression)
        except OverflowError:
            return None

    def _inlined(self, expression: Expression) -> Expression:
        self._count += 1
        if self._count > MAX_INLINED:
            raise OverflowError

        def leaf(item: Expression) -> Expression:
            assert isinstance(item, Rule)
            return self._inlined(self._rules[item.name])

        return _mapped(expression, leaf)
