"""A grammar for answers: read once, compiled once for each vocabulary, followed by matchers."""

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import llguidance

from agents.llm.structured.errors import (
    BudgetTooSmallError,
    ConstraintError,
    GrammarTooLargeError,
    UnsatisfiableError,
    VocabularyError,
)
from agents.llm.structured.expression import (
    NOTHING,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Repeat,
    Rule,
    Sequence,
    mapper,
)
from agents.llm.structured.follower import Follower
from agents.llm.structured.json_text import COLON, COMMA
from agents.llm.structured.lark_writer import lark_of
from agents.llm.structured.matcher import Matcher
from agents.llm.structured.program import Program
from agents.llm.structured.vocabulary import INFINITE, Vocabulary

_BYTES = Vocabulary([*(bytes([byte]) for byte in range(256)), b""], {256})
MAX_KEPT = 200_000
"""Places and costs that a compiled grammar keeps for later answers, some 50 MB at most."""


@dataclass(frozen=True, eq=False)
class Grammar:
    """What answers must look like, and what they mean.

    Attributes:
        start: where an answer begins.
        rules: the rules that it refers to.
        parse: from the text of an answer to its value; raises `ResultError`.
        name: what it is called in messages.
        response_format: how a server is asked for it, in the shape of OpenAI's API.
        is_free: an answer that its budget ends is cut, even where it might end.
    """

    start: Expression
    rules: Mapping[str, Expression]
    parse: Callable[[str], Any] = str
    name: str = "grammar"
    response_format: Mapping[str, Any] | None = None
    is_free: bool = False
    _compiled: "weakref.WeakKeyDictionary[Vocabulary, CompiledGrammar]" = field(
        default_factory=weakref.WeakKeyDictionary, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def compile(self, vocabulary: Vocabulary) -> "CompiledGrammar":
        """The grammar for this vocabulary; made once, blocks while it is.

        Raises:
            SchemaError: no text satisfies it, or it is too large.
            VocabularyError: the tokenizer cannot spell an answer.
        """
        with self._lock:
            compiled = self._compiled.get(vocabulary)
            if compiled is None:
                compiled = self._compiled[vocabulary] = self._compile(vocabulary)
            return compiled

    def describes(self, text: str) -> bool:
        """Whether `text` is such an answer.

        Raises:
            SchemaError: the grammar is too large to be compiled.
        """
        return self.compile(_BYTES).is_answer(text.encode(errors="replace"))

    def check(self) -> None:
        """Pass when some text satisfies it; needs no vocabulary.

        Raises:
            UnsatisfiableError: none does.
        """
        _productive(self.start, self.rules, _SEPARATORS)

    def _compile(self, vocabulary: Vocabulary) -> "CompiledGrammar":
        try:
            return CompiledGrammar(self, vocabulary)
        except RecursionError as error:
            raise GrammarTooLargeError(f"{self.name} is nested too deeply") from error
        except ConstraintError as error:  # its beginning already has too many readings
            raise GrammarTooLargeError(f"{self.name}: {error}") from error


def embedded(grammar: Grammar, prefix: str) -> tuple[Expression, dict[str, Expression]]:
    """A grammar as a part of another one: its rules' names begin with `prefix`."""

    def leaf(rule: Rule) -> Expression:
        return rule if rule in (COMMA, COLON) else Rule(prefix + rule.name)

    mapped = mapper(leaf)
    return mapped(grammar.start), {prefix + n: mapped(body) for n, body in grammar.rules.items()}


class CompiledGrammar:
    """A grammar for one vocabulary.

    Attributes:
        needed_tokens: what the shortest answer takes, without an end token.
    """

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary) -> None:
        start, rules = _productive(grammar.start, grammar.rules, _separators(vocabulary))
        self._program = Program(start, rules, vocabulary)
        self._follower = Follower(self._program)
        self._is_free = grammar.is_free
        self._vocabulary = weakref.ref(vocabulary)
        self.needed_tokens = self._program.start.cost
        if self.needed_tokens == INFINITE:
            raise VocabularyError("the tokenizer cannot spell any valid answer")
        self._masks = llguidance.LLMatcher(
            vocabulary.llguidance, lark_of(start, rules), log_level=0, limits=_limits()
        )
        if self._masks.is_error():
            reason = self._masks.get_error().splitlines()[0]
            raise GrammarTooLargeError(f"llguidance does not compile it: {reason}")

    def is_answer(self, data: bytes) -> bool:
        """Whether these bytes are a whole answer."""
        state = self._follower.step(self._follower.start, data)
        return state is not None and state.is_accepting

    def matcher(self, max_new_tokens: int) -> Matcher:
        """Follow an answer of at most so many tokens.

        Raises:
            BudgetTooSmallError: the shortest answer takes more.
        """
        if max_new_tokens < self.needed_tokens:
            raise BudgetTooSmallError(
                needed_tokens=self.needed_tokens, max_new_tokens=max_new_tokens
            )
        vocabulary = self._vocabulary()
        assert vocabulary is not None
        if self._follower.size > MAX_KEPT:
            self._follower = Follower(self._program)  # answers that are written keep the other one
        masks = self._masks.deep_copy()
        return Matcher(
            self._program,
            self._follower,
            masks,
            vocabulary,
            max_new_tokens,
            is_free=self._is_free,
        )


_SEPARATORS: dict[str, Expression] = {
    rule.name: Lexeme(Literal(rule.name)) for rule in (COMMA, COLON)
}


def _separators(vocabulary: Vocabulary) -> dict[str, Expression]:
    """JSON's separators as the vocabulary can spell them."""
    if vocabulary.costs(b" ")[0] < INFINITE:
        return _SEPARATORS
    return {name: Lexeme(Literal(name.strip())) for name in _SEPARATORS}


def _productive(
    start: Expression, rules: Mapping[str, Expression], known: Mapping[str, Expression]
) -> tuple[Expression, dict[str, Expression]]:
    """The grammar without what no text satisfies, and with `known` in the place of their names.

    Raises:
        UnsatisfiableError: nothing is left.
    """
    ending = set(known)
    unknown = list(rules)
    is_settled = False
    while not is_settled:
        is_settled = True
        unknown.reverse()  # what a rule refers to comes before it or behind it
        for name in unknown:
            if name not in ending and _ends(rules[name], ending):
                ending.add(name)
                is_settled = False
    if not _ends(start, ending):
        raise UnsatisfiableError("no text satisfies it: it contradicts itself or never ends")

    def leaf(rule: Rule) -> Expression:
        return known.get(rule.name, rule if rule.name in ending else NOTHING)

    mapped = mapper(leaf)
    return mapped(start), {name: mapped(rules[name]) for name in rules if name in ending}


def _ends(expression: Expression, ending: set[str]) -> bool:
    match expression:
        case Sequence(items):
            return all(_ends(item, ending) for item in items)
        case Choice(items):
            return any(_ends(item, ending) for item in items)
        case Repeat(item, low):
            return low == 0 or _ends(item, ending)
        case Lexeme(item):
            return _ends(item, ending)
        case Rule(name):
            return name in ending
        case _:
            return True


def _limits() -> llguidance.LLParserLimits:
    return llguidance.LLParserLimits(
        initial_lexer_fuel=5_000_000,
        step_lexer_fuel=2_000_000,
        step_max_items=500_000,
        max_items_in_row=20_000,
        verbose_errors=False,
    )
