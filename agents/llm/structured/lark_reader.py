"""Reads grammars in Lark's notation: rules, terminals, imports of `common`, `%ignore`, `%json`."""

import json
from typing import NoReturn

from agents.llm.structured.errors import GrammarSyntaxError, UnsupportedKeywordError
from agents.llm.structured.expression import (
    EMPTY,
    Expression,
    Lexeme,
    Literal,
    Rule,
    characters,
    choice,
    optional,
    repeat,
    rules_in,
    sequence,
    without_lexemes,
)
from agents.llm.structured.json_schema import read_schema
from agents.llm.structured.lark_rules import (
    as_one,
    refuse_left_recursion,
    renamed,
    spaced,
    without_left_recursion,
)
from agents.llm.structured.lark_terms import COMMON, bounds, regex, unquoted
from agents.llm.structured.lark_tokens import Token, tokens
from agents.llm.structured.regex import MAX_REPEATS

MAX_CHARACTERS = 200_000


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
    reader = _Reader(list(tokens(text)), text)
    rules = reader.rules()
    if "start" not in rules:
        raise GrammarSyntaxError("the grammar has no rule called 'start'")
    for name in list(rules):
        rules[name] = without_left_recursion(name, rules[name])
    refuse_left_recursion(rules)
    whole = as_one("start", rules)
    return (Rule("start"), rules) if whole is None else (Lexeme(whole), {})


class _Reader:
    def __init__(self, tokens: list[Token], text: str) -> None:
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

    def _definition(self, token: Token) -> None:
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

    def _directive(self, token: Token) -> None:
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
            if path[0] != "common" or name not in COMMON:
                raise UnsupportedKeywordError(
                    "%import", f"{'.'.join(path)}: only terminals of common are known"
                )
            self._rules[alias or name] = regex(COMMON[name])

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
            low, high = bounds(token.text)
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
            return self._terminal(regex(body.replace("\\/", "/"), flags))
        if token.kind == "name":
            return Rule(token.text)
        if token.kind == "json":
            start, rules = read_schema(json.loads(token.text))
            prefix = f"json{token.at}."
            self._rules |= {prefix + n: renamed(e, prefix) for n, e in rules.items()}
            return renamed(start, prefix)
        if token.kind == "special":
            raise UnsupportedKeywordError(
                token.text, "special tokens and other grammars cannot stand in an answer"
            )
        if token.text in ("(", "["):
            inner = self._alternatives()
            self._expect(")" if token.text == "(" else "]")
            return inner if token.text == "(" else optional(inner)
        return self._fail(token)

    def _string(self, token: Token) -> Expression:
        text, ignores_case = unquoted(token.text)
        if self._is_sign(".."):
            self._next()
            end, _ = unquoted(self._next().text)
            if len(text) != 1 or len(end) != 1 or text > end:
                self._fail(token)
            return self._terminal(characters((text, end)))
        if not ignores_case:
            return self._terminal(Literal(text))
        cases = ([t for t in (c, c.lower(), c.upper()) if len(t) == 1] for c in text)
        return self._terminal(sequence(*(characters(*each) for each in cases)))

    def _terminal(self, expression: Expression) -> Expression:
        """In a rule, marked as one unit: what is ignored may stand before it."""
        return expression if self._in_terminal else Lexeme(expression)

    def _ignore(self) -> None:
        """Let what is ignored stand before each terminal in a rule, and at the end."""
        gap = optional(choice(self._ignored))
        rules = {n: e if n.isupper() else spaced(e, gap) for n, e in self._rules.items()}
        rules["start"] = sequence(rules.get("start", EMPTY), gap)
        self._rules = rules

    def _check_names(self) -> None:
        self._rules = {name: without_lexemes(body) for name, body in self._rules.items()}
        for name, body in self._rules.items():
            for used in rules_in(body):
                if used not in self._rules:
                    raise GrammarSyntaxError(f"{name} refers to {used}, which is not defined")

    def _peek(self) -> Token:
        if self._at < len(self._tokens):
            return self._tokens[self._at]
        return Token("end", "", len(self._text))

    def _next(self) -> Token:
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

    def _fail(self, token: Token, more: str = "") -> NoReturn:
        line = self._text.count("\n", 0, token.at) + 1
        what = repr(token.text) if token.text.strip() else "the end"
        raise GrammarSyntaxError(f"line {line}: {what} is not understood here{more}")
