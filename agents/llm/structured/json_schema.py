"""From a JSON schema to an expression of the texts that are valid for it.

Everything that is written is valid; not everything that is valid can be written. One form of each
text is chosen (see `json_text`), properties come in the schema's order, and properties that the
schema does not mention come only where it says something about them, or knows no others.
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema

from agents.llm.structured.errors import (
    GrammarSyntaxError,
    GrammarTooLargeError,
    UnsupportedKeywordError,
)
from agents.llm.structured.expression import (
    EMPTY,
    NOTHING,
    Expression,
    Lexeme,
    Literal,
    Rule,
    choice,
    repeat,
    sequence,
)
from agents.llm.structured.facts import Facts, Part, Parts, Schema, identity, same
from agents.llm.structured.facts_reader import FactsReader
from agents.llm.structured.formats import STRING_FORMATS
from agents.llm.structured.json_text import COLON, COMMA, constant, dumped
from agents.llm.structured.numeric_values import number_expression
from agents.llm.structured.string_values import Strings

MAX_SCHEMA_CHARACTERS = 1_000_000
MAX_RULES = 20_000
MAX_UNIQUE_VALUES = 64

_VALUES = ("const", "enum", "default", "examples")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

_OPEN, _CLOSE = Lexeme(Literal("{")), Lexeme(Literal("}"))
_FIRST, _LAST = Lexeme(Literal("[")), Lexeme(Literal("]"))


def read_schema(
    schema: Schema, *, are_sets_deduplicated: bool = False
) -> tuple[Expression, dict[str, Expression]]:
    """The start and the rules of a grammar.

    Args:
        schema: JSON schema, draft 2020-12 or what older drafts share with it.
        are_sets_deduplicated: whoever reads the answer drops repeated items of sets, so that
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
    _check_schema(schema)
    try:
        reader = _Reader(schema, are_sets_deduplicated=are_sets_deduplicated)
        start = reader.value((Part(schema, "#"),))
        reader.read()
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error
    return start, reader.rules


def schema_text(schema: Any) -> str:
    """The schema as JSON.

    Raises:
        GrammarSyntaxError: it is none.
        GrammarTooLargeError: it is nested too deeply.
    """
    try:
        text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
        text.encode()
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise GrammarSyntaxError(f"the schema is no JSON: {error}") from error
    return text


def with_nullable(schema: Any) -> Any:
    """The same with OpenAPI 3.0's `nullable` said as JSON schema says it."""
    if isinstance(schema, list):
        return [with_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _with_nullable_in(key, value) for key, value in schema.items()}
    if found.get("nullable") is True and "type" in found:
        del found["nullable"]
        types = found["type"]
        found["type"] = [*(types if isinstance(types, list) else [types]), "null"]
    return found


def _with_nullable_in(keyword: str, value: Any) -> Any:
    if keyword in _VALUES:
        return value
    if keyword in _NAMED and isinstance(value, dict):
        return {name: with_nullable(inner) for name, inner in value.items()}
    return with_nullable(value)


def _check_schema(schema: Schema) -> None:
    if not isinstance(schema, dict | bool):
        raise GrammarSyntaxError(f"a schema is an object or a boolean, not {schema!r}"[:200])
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    if isinstance(schema, dict) and _has_item_lists(schema):
        kind = jsonschema.Draft7Validator
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(["#", *(str(key) for key in error.absolute_path)])
        raise GrammarSyntaxError(f"no JSON schema: {error.message[:200]}", path=where) from error
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error


def _has_item_lists(schema: Any) -> bool:
    """Whether it says `items: [...]`, as drafts before 2020-12 do."""
    if isinstance(schema, dict):
        return isinstance(schema.get("items"), list) or any(
            _has_item_lists(value) for value in schema.values()
        )
    return isinstance(schema, list) and any(_has_item_lists(item) for item in schema)


def _is_valid(value: Any, schema: dict[str, Any]) -> bool:
    return bool(_validator(json.dumps(schema)).is_valid(value))


def _has_format(text: str, name: str) -> bool:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    if name in checker.checkers:
        return bool(checker.conforms(text, name))
    return name in STRING_FORMATS and bool(re.fullmatch(STRING_FORMATS[name], text, re.ASCII))


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads(schema))


class _Reader:
    def __init__(self, root: Schema, *, are_sets_deduplicated: bool) -> None:
        self.rules: dict[str, Expression] = {}
        self._facts = FactsReader(root, _is_valid)
        self._values: dict[str, Expression] = {}
        self._unread: deque[tuple[str, list[Facts]]] = deque()
        self._strings = Strings(self.rules)
        self._are_sets_deduplicated = are_sets_deduplicated

    def value(self, parts: Parts) -> Expression:
        """A value for which all of `parts` hold; a rule, so that schemas may recur."""
        key = json.dumps([part.schema for part in parts])
        if key not in self._values:
            if len(self.rules) > MAX_RULES:
                raise GrammarTooLargeError(f"it needs more than {MAX_RULES} rules")
            alternatives = self._facts.alternatives(parts)
            types = {type_ for facts in alternatives for type_ in facts.possible_types()}
            if types & {"array", "object"}:
                name = f"v{len(self._values)}"
                self._values[key] = Rule(name)
                self._unread.append((name, alternatives))
            else:
                self._values[key] = self._expression(alternatives)
        return self._values[key]

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
        if not all(_is_valid(value, schema) for schema in facts.plain):
            return False
        if facts.types is not None and not _is_valid(value, {"type": sorted(facts.types)}):
            return False
        if isinstance(value, str) and not all(_has_format(value, f) for f in facts.formats):
            return False
        if isinstance(value, dict):
            return all(self._is_one_of(facts.property_parts(k), v) for k, v in value.items())
        if isinstance(value, list):
            return all(self._is_one_of(facts.item_parts(i), v) for i, v in enumerate(value))
        return True

    def _is_one_of(self, parts: Parts, value: Any) -> bool:
        return any(
            self._holds(facts, value)
            and (facts.values is None or any(same(value, v) for v in facts.values))
            for facts in self._facts.alternatives(parts)
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
            return self._array(facts)
        return self._object(facts)

    def _constants(self, values: list[Any], facts: Facts) -> Expression:
        kept = [v for v in values if not any(same(v, other) for other in facts.not_values)]
        return Lexeme(choice(Literal(dumped(v)) for v in kept)) if kept else NOTHING

    # Arrays

    def _array(self, facts: Facts) -> Expression:
        _refuse_excluded(facts, (list,))
        low, high = facts.min_items, facts.max_items
        first = facts.first_items[:high]
        if (
            facts.is_unique
            and not (self._are_sets_deduplicated and low <= 1)
            and high not in (0, 1)
        ):
            return self._set(facts)
        is_open = bool(facts.items) or not first or low > len(first)
        if not is_open:
            high = len(first)
        others = self._more_items(facts, len(first), low, high)
        for i in range(len(first) - 1, -1, -1):
            others = sequence(COMMA if i else EMPTY, self.value(first[i]), others)
            others = others if i < low else choice([EMPTY, others])
        return sequence(_FIRST, others, _LAST)

    def _more_items(self, facts: Facts, at: int, low: int, high: int | None) -> Expression:
        """The items from `at` on."""
        if high is not None and high <= at:
            return EMPTY if low <= at else NOTHING
        item = self.value(facts.items)
        left = None if high is None else high - at
        if at:
            return repeat(sequence(COMMA, item), max(0, low - at), left)
        rest = repeat(sequence(COMMA, item), max(0, low - 1), None if left is None else left - 1)
        return choice([*([EMPTY] if low == 0 else []), sequence(item, rest)])

    def _set(self, facts: Facts) -> Expression:
        """Items that differ, in the order in which their values are listed."""
        values = None if facts.first_items else self._finite(facts.items)
        if values is None or len(values) > MAX_UNIQUE_VALUES:
            raise UnsupportedKeywordError(
                "uniqueItems",
                f"items can be told apart only if the schema lists at most {MAX_UNIQUE_VALUES} of "
                "them; use enum for the items, or maxItems 1, or leave it out",
                path=facts.path,
            )
        high = len(values) if facts.max_items is None else min(facts.max_items, len(values))
        known: dict[tuple[int, int], Expression] = {}

        def after(at: int, count: int) -> Expression:
            """What may follow when `count` items are written, the last before `at`."""
            if (at, count) not in known:
                name = f"s{len(self.rules)}"
                known[at, count] = Rule(name)
                self.rules[name] = NOTHING
                self.rules[name] = choice(
                    [
                        *([EMPTY] if count >= facts.min_items else []),
                        *(
                            sequence(
                                COMMA if count else EMPTY,
                                constant(values[i]),
                                after(i + 1, count + 1),
                            )
                            for i in range(at, len(values))
                            if count < high
                        ),
                    ]
                )
            return known[at, count]

        return sequence(_FIRST, after(0, 0), _LAST)

    def _finite(self, parts: Parts) -> list[Any] | None:
        found: list[Any] = []
        for facts in self._facts.alternatives(parts):
            values = facts.values
            if values is None:
                types = set(facts.possible_types())
                if not types <= {"null", "boolean"}:
                    return None
                values = (*([None] * ("null" in types)), *([True, False] * ("boolean" in types)))
            found += [v for v in values if self._holds(facts, v)]
        return list({identity(value): value for value in found}.values())

    # Objects

    def _object(self, facts: Facts) -> Expression:
        _refuse_excluded(facts, (dict,))
        members = {name: facts.property_parts(name) for name in (*facts.named, *facts.required)}
        extra = self._extra_members(facts, members)
        if facts.names:
            names = self._possible_names(facts)
            if names is not None:
                members |= {n: facts.property_parts(n) for n in names if n not in members}
                extra = NOTHING
            members = {n: p for n, p in members.items() if self._is_one_of(facts.names, n)}
            if any(name not in members for name in facts.required):
                return NOTHING
        if any(self._facts.alternatives(members[name]) == [] for name in facts.required):
            return NOTHING
        return sequence(_OPEN, self._members(facts, members, extra), _CLOSE)

    def _possible_names(self, facts: Facts) -> list[str] | None:
        """The names that `propertyNames` lists, if it lists them."""
        found = self._finite((*facts.names, Part({"type": "string"}, facts.path)))
        return None if found is None else [str(name) for name in found]

    def _members(self, facts: Facts, members: Mapping[str, Parts], extra: Expression) -> Expression:
        names = list(members)
        low, high = facts.min_properties, facts.max_properties
        counts = low > len(facts.required) or high is not None
        pairs = {
            name: sequence(Lexeme(Literal(dumped(name))), COLON, self.value(parts))
            for name, parts in members.items()
            if name in facts.required or self._facts.alternatives(parts)
        }
        known: dict[tuple[int, int], Expression] = {}

        def after(at: int, written: int) -> Expression:
            """What may follow the members before `at`, of which so many are written.

            Without limits it matters only whether there are any.
            """
            if at == len(names):
                return self._extras(facts, extra, written)
            if (at, written) not in known:
                name = names[at]
                more = min(written + 1, 1) if not counts else written + 1
                skipped = after(at + 1, written) if name not in facts.required else NOTHING
                taken: Expression = NOTHING
                if name in pairs:
                    taken = sequence(COMMA if written else EMPTY, pairs[name], after(at + 1, more))
                rule = f"o{len(self.rules)}"
                self.rules[rule] = choice(e for e in (taken, skipped) if e != NOTHING)
                known[at, written] = Rule(rule)
            return known[at, written]

        if not counts and all(name in facts.required for name in names):
            joined = [
                e for i, n in enumerate(names) for e in ((COMMA, pairs[n]) if i else (pairs[n],))
            ]
            return sequence(*joined, self._extras(facts, extra, min(len(names), 1)))
        return after(0, 0)

    def _extras(self, facts: Facts, extra: Expression, written: int) -> Expression:
        """Members that the schema does not name, behind those it names."""
        low = max(0, facts.min_properties - written)
        if facts.min_properties <= len(facts.required):
            low = 0
        high = None if facts.max_properties is None else facts.max_properties - written
        if high is not None and high < 0:
            return NOTHING
        if extra == NOTHING or high == 0:
            return EMPTY if low == 0 else NOTHING
        if low > 1:
            raise UnsupportedKeywordError(
                "minProperties",
                "a grammar cannot tell the names of several unnamed properties apart; name them, "
                "or list them by propertyNames and enum",
                path=facts.path,
            )
        if written:
            return repeat(sequence(COMMA, extra), low, high)
        rest = repeat(sequence(COMMA, extra), 0, None if high is None else high - 1)
        return choice([*([EMPTY] if low == 0 else []), sequence(extra, rest)])

    def _extra_members(self, facts: Facts, members: Mapping[str, Parts]) -> Expression:
        """One member that the schema does not name; none where it says nothing about those."""
        others = facts.others
        if others is None and not facts.named and not facts.by_pattern and not facts.is_closed:
            others = ()  # any object
        found = []
        patterns = [pattern for pattern, _ in facts.by_pattern]
        if len(patterns) > 1:
            raise UnsupportedKeywordError(
                "patternProperties", "only one pattern is possible", path=facts.path
            )
        allowed = self._facts.alternatives((*facts.names, Part({"type": "string"}, facts.path)))
        for pattern, parts in facts.by_pattern:
            name = self._strings.name(allowed, list(members), [(pattern, True)])
            found.append(self._member(name, parts))
        if others is not None:
            excluded = [(pattern, False) for pattern in patterns]
            name = self._strings.name(allowed, list(members), excluded)
            found.append(self._member(name, others))
        return choice(member for member in found if member != NOTHING)

    def _member(self, name: Expression, parts: Parts) -> Expression:
        if name == NOTHING or not self._facts.alternatives(parts):
            return NOTHING
        return sequence(name, COLON, self.value(parts))


def _refuse_excluded(facts: Facts, kinds: tuple[type, ...]) -> None:
    for value in facts.not_values:
        if isinstance(value, kinds):
            raise UnsupportedKeywordError(
                "not", "objects and arrays cannot be excluded one by one", path=facts.path
            )
