"""Answers of a given form: types, JSON schemas, regexes, Lark grammars, tool calls.

A grammar is read from what is wanted, compiled for a tokenizer, and followed by a matcher, which
tells an engine what tokens may come next. Every answer is complete within its token budget.
"""

from agents.llm.structured.errors import (
    BudgetTooSmallError,
    ConstraintError,
    FormIgnoredError,
    GrammarSyntaxError,
    GrammarTooLargeError,
    ResultError,
    SchemaError,
    UnsatisfiableError,
    UnsupportedKeywordError,
    VocabularyError,
)
from agents.llm.structured.grammar import CompiledGrammar, Grammar
from agents.llm.structured.matcher import Matcher
from agents.llm.structured.sources import (
    grammar_of,
    grammar_of_choice,
    grammar_of_lark,
    grammar_of_regex,
    grammar_of_schema,
    grammar_of_type,
)
from agents.llm.structured.vocabulary import Vocabulary, vocabulary_for, vocabulary_of

__all__ = [
    "BudgetTooSmallError",
    "CompiledGrammar",
    "ConstraintError",
    "FormIgnoredError",
    "Grammar",
    "GrammarSyntaxError",
    "GrammarTooLargeError",
    "Matcher",
    "ResultError",
    "SchemaError",
    "UnsatisfiableError",
    "UnsupportedKeywordError",
    "Vocabulary",
    "VocabularyError",
    "grammar_of",
    "grammar_of_choice",
    "grammar_of_lark",
    "grammar_of_regex",
    "grammar_of_schema",
    "grammar_of_type",
    "vocabulary_for",
    "vocabulary_of",
]
