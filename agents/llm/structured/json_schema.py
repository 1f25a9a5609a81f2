"""From a JSON schema to an expression of the texts that are valid for it.

Everything that is written is valid; not everything that is valid can be written. One form of each
text is chosen (see `json_text`), properties come in the schema's order, and properties that the
schema does not mention come only where it says something about them, or knows no others.
"""

import json
from collections import deque
from typing import Any

from agents.llm.structured.array_values import Arrays
from agents.llm.structured.errors import GrammarTooLargeError
from agents.llm.structured.expression import (
    NOTHING,
    Expression,
    Lexeme,
    Literal,
    Rule,
    choice,
)
from agents.llm.structured.facts import Facts, Part, Parts, Schema, identity, same
from agents.llm.structured.facts_reader import FactsReader
from agents.llm.structured.json_text import constant, dumped
from agents.llm.structured.numeric_values import number_expression
from agents.llm.structured.object_values import Objects
from agents.llm.structured.schema_document import check_schema, schema_text
from agents.llm.structured.string_values import Strings
from agents.llm.structured.validity import has_format, is_valid

MAX_SCHEMA_CHARACTERS = 1_000_000
MAX_RULES = 20_000


def read_schema(
    schema: Schema, *, are_sets_deduplicated: bool = False
) -> tuple[Expression, dict[str, Expression]]:
    """The start and the rules of a grammar.

    Args:
        schema: JSON schema, draft 2020-12 or what older drafts share with it.
        are_sets_deduplicated: the reader of the answer drops repeated items of sets, so that
            `uniqueItems` holds whatever is written.

    Raises:
        GrammarSyntaxError: it is no JSON schema.
        UnsupportedKeywordError: something in it cannot be enforced.
        UnsatisfiableError: it refers to itself without end.
        GrammarTooLargeError: it is too large.
    """
    text = schema_text(schema)
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise GrammarTooLargeError(
            f"the schema has {len(text)} characters, more than {MAX_SCHEMA_CHARACTERS}"
        )
    check_schema(schema)
    try:
        reader = _Reader(schema, are_sets_deduplicated=are_sets_deduplicated)
        start = reader.value((Part(schema, "#"),))
        reader.read()
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error
    return start, reader.rules


class _Reader:
    def __init__(self, root: Schema, *, are_sets_deduplicated: bool) -> None:
        self.rules: dict[str, Expression] = {}
        self._facts = FactsReader(root, is_valid)
        self._values: dict[str, Expression] = {}
        self._unread: deque[tuple[str, list[Facts]]] = deque()
        self._strings = Strings(self.rules)
        self._arrays = Arrays(self, are_sets_deduplicated=are_sets_deduplicated)
        self._objects = Objects(self, self._strings)

    def value(self, parts: Parts) -> Expression:
        """A value for which all of `parts` hold; a rule, so that schemas may recur."""
        key = json.dumps([part.schema for part in parts])
        if key not in self._values:
            if len(self.rules) > MAX_RULES:
                raise GrammarTooLargeError(f"it needs more than {MAX_RULES} rules")
            alternatives = self.alternatives(parts)
            types = {type_ for facts in alternatives for type_ in facts.possible_types()}
            if types & {"array", "object"}:
                name = f"v{len(self._values)}"
                self._values[key] = Rule(name)
                self._unread.append((name, alternatives))
            else:
                self._values[key] = self._expression(alternatives)
        return self._values[key]

    def alternatives(self, parts: Parts) -> list[Facts]:
        """Facts of which one holds for each such value."""
        return self._facts.alternatives(parts)

    def read(self) -> None:
        """Read the values that the rules refer to; one by one, however deep they are nested."""
        while self._unread:
            name, alternatives = self._unread.popleft()
            self.rules[name] = self._expression(alternatives)

    def _expression(self, alternatives: list[Facts]) -> Expression:
        return choice(
            self._of_type(facts.of_type(type_), type_)
            if facts.values is None
            else self._given(facts)
            for facts in alternatives
            for type_ in (facts.possible_types() if facts.values is None else ["any"])
        )

    def _given(self, facts: Facts) -> Expression:
        """The values it lists, if they hold all the rest."""
        assert facts.values is not None
        kept = [value for value in facts.values if self._holds(facts, value)]
        scalars = [Literal(dumped(v)) for v in kept if not isinstance(v, dict | list)]
        others = [constant(v) for v in kept if isinstance(v, dict | list)]
        return choice([*([Lexeme(choice(scalars))] if scalars else []), *others])

    def _holds(self, facts: Facts, value: Any) -> bool:
        if not all(is_valid(value, schema) for schema in facts.plain):
            return False
        if facts.types is not None and not is_valid(value, {"type": sorted(facts.types)}):
            return False
        if isinstance(value, str) and not all(has_format(value, f) for f in facts.formats):
            return False
        if isinstance(value, dict):
            return all(self.is_one_of(facts.property_parts(k), v) for k, v in value.items())
        if isinstance(value, list):
            return all(self.is_one_of(facts.item_parts(i), v) for i, v in enumerate(value))
        return True

    def is_one_of(self, parts: Parts, value: Any) -> bool:
        """Whether `value` is such a value."""
        return any(
            self._holds(facts, value)
            and (facts.values is None or any(same(value, v) for v in facts.values))
            for facts in self.alternatives(parts)
        )

    def _of_type(self, facts: Facts, type_: str) -> Expression:
        if type_ == "null":
            return self._constants([None], facts)
        if type_ == "boolean":
            return self._constants([True, False], facts)
        if type_ in ("integer", "number"):
            return number_expression(facts, self.rules, is_integer=type_ == "integer")
        if type_ == "string":
            return self._strings.expression(facts)
        if type_ == "array":
            return self._arrays.expression(facts)
        return self._objects.expression(facts)

    def _constants(self, values: list[Any], facts: Facts) -> Expression:
        kept = [v for v in values if not any(same(v, other) for other in facts.not_values)]
        return Lexeme(choice(Literal(dumped(v)) for v in kept)) if kept else NOTHING

    def finite(self, parts: Parts) -> list[Any] | None:
        """All such values, if the schema lists them."""
        found: list[Any] = []
        for facts in self.alternatives(parts):
            values = facts.values
            if values is None:
                types = set(facts.possible_types())
                if not types <= {"null", "boolean"}:
                    return None
                values = (*([None] * ("null" in types)), *([True, False] * ("boolean" in types)))
            found += [v for v in values if self._holds(facts, v)]
        return list({identity(value): value for value in found}.values())
