"""Checks the expressions of a route against the messages that they are for, before any comes.

Only what is certain is told: where a class leaves open what it holds, everything goes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jmespath.functions import Functions
from pydantic import BaseModel

from guild.checking.shapes import (
    ANYTHING,
    Shape,
    kind_of,
    list_of,
    object_of,
    read_shape,
    shape_of_value,
    written_shape,
)
from guild.spec.expressions import EQUALITY, Expression
from guild.suggest import closest
from messaging.wire.message import wire_type_of

_TEXT = kind_of("string")
_ENVELOPE = object_of(
    {
        "id": _TEXT,
        "topic": _TEXT,
        "sender": _TEXT,
        "conversation": _TEXT,
        "attempt": kind_of("integer"),
        "hops": kind_of("integer"),
        "tags": list_of(_TEXT),
    }
)
_GIVES = {
    "number": ("abs", "avg", "ceil", "floor", "length", "sum", "to_number"),
    "boolean": ("contains", "ends_with", "starts_with"),
    "string": ("join", "to_string", "type"),
    "array": ("keys", "map", "sort", "sort_by", "to_array", "values"),
    "object": ("merge",),
}
_RESULTS = {name: kind_of(kind) for kind, names in _GIVES.items() for name in names}
_JSON_WORDS = frozenset({"null", "true", "false"})
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


class Flaw(NamedTuple):
    """Something wrong with an expression."""

    text: str
    suggestion: str = ""


def flaws_of_route(
    when: str | None,
    transform: str | None,
    message: type[BaseModel],
    target: type[BaseModel] | None,
) -> Iterator[tuple[str, Flaw]]:
    """Everything wrong with the expressions of a route, each with the key that it stands under."""
    if when is not None:
        yield from (("when", flaw) for flaw in _Check(message).of(when)[1])
    given = written_shape(message)
    if transform is not None:
        given, flaws = _Check(message).of(transform)
        yield from (("transform", flaw) for flaw in flaws)
    if target is not None and (transform is not None or target is not message):
        key = "into" if transform is None else "transform"
        yield from ((key, flaw) for flaw in _misfits(given, target))


class _Check:
    """One walk through an expression, gathering what is wrong."""

    def __init__(self, message: type[BaseModel]) -> None:
        self._message = message
        self._flaws: list[Flaw] = []

    def of(self, text: str) -> tuple[Shape, list[Flaw]]:
        """What the expression gives, and what is wrong with it."""
        root = _with_envelope(written_shape(self._message))
        given = self._shape(Expression(text).tree, root)
        return given, list(dict.fromkeys(self._flaws))

    def _shape(self, node: Mapping[str, Any], here: Shape) -> Shape:
        walk = getattr(self, f"_{node['type']}", None)
        return walk(node, here) if walk is not None else self._children(node, here)

    def _children(self, node: Mapping[str, Any], here: Shape) -> Shape:
        for child in node["children"]:
            self._shape(child, here)
        return ANYTHING

    def _field(self, node: Mapping[str, Any], here: Shape) -> Shape:
        name = node["value"]
        found = here.field(name)
        if found is not None:
            return found
        known = [field for field in here.names if field != "_envelope"]
        if not here.names:
            owner, hint = " or ".join(sorted(here.kinds)), ""
        elif "_envelope" in here.names:
            owner, hint = str(wire_type_of(self._message)), _alias_of(name, self._message)
        else:
            owner, hint = "it", ""
        hint = hint or closest(name, here.names)
        there = f"; its fields are {', '.join(known)}" if known and not hint else ""
        self._flaws.append(Flaw(f"{owner} has no field {name!r}{there}", hint))
        return ANYTHING

    def _literal(self, node: Mapping[str, Any], _: Shape) -> Shape:
        return shape_of_value(node["value"])

    def _identity(self, _: Mapping[str, Any], here: Shape) -> Shape:
        return here

    _current = _identity

    def _in_turn(self, node: Mapping[str, Any], here: Shape) -> Shape:
        for child in node["children"]:
            here = self._shape(child, here)
        return here

    _subexpression = _pipe = _index_expression = _in_turn

    def _index(self, _: Mapping[str, Any], here: Shape) -> Shape:
        return here.items

    def _slice(self, _: Mapping[str, Any], here: Shape) -> Shape:
        return here

    def _projection(self, node: Mapping[str, Any], here: Shape) -> Shape:
        base, then = node["children"]
        return list_of(self._shape(then, self._shape(base, here).items))

    def _filter_projection(self, node: Mapping[str, Any], here: Shape) -> Shape:
        base, then, condition = node["children"]
        items = self._shape(base, here).items
        self._shape(condition, items)
        return list_of(self._shape(then, items))

    def _value_projection(self, node: Mapping[str, Any], here: Shape) -> Shape:
        base, then = node["children"]
        self._shape(base, here)
        self._shape(then, ANYTHING)
        return kind_of("array")

    def _flatten(self, node: Mapping[str, Any], here: Shape) -> Shape:
        items = self._shape(node["children"][0], here).items
        return list_of(items.items if items.kinds == {"a list"} else items)

    def _multi_select_dict(self, node: Mapping[str, Any], here: Shape) -> Shape:
        pairs = node["children"]
        return object_of({p["value"]: self._shape(p["children"][0], here) for p in pairs})

    def _multi_select_list(self, node: Mapping[str, Any], here: Shape) -> Shape:
        self._children(node, here)
        return kind_of("array")

    def _or_expression(self, node: Mapping[str, Any], here: Shape) -> Shape:
        left, right = (self._shape(child, here) for child in node["children"])
        return left.or_else(right)

    def _and_expression(self, node: Mapping[str, Any], here: Shape) -> Shape:
        left, right = (self._shape(child, here) for child in node["children"])
        return left.where_false().or_else(right)

    def _not_expression(self, node: Mapping[str, Any], here: Shape) -> Shape:
        self._children(node, here)
        return kind_of("boolean")

    def _comparator(self, node: Mapping[str, Any], here: Shape) -> Shape:
        told = len(self._flaws)
        left, right = (self._shape(child, here) for child in node["children"])
        if len(self._flaws) > told:
            self._hint_at_quotes(node)
            return kind_of("boolean", "null")
        # Two values of different kinds are equal where both are missing: null is null.
        is_certain = node["value"] not in EQUALITY or "literal" in [
            child["type"] for child in node["children"]
        ]
        if is_certain and (text := _never(node["value"], left, right)):
            self._flaws.append(Flaw(text, _near_choice(left, right)))
        return kind_of("boolean", "null")

    def _hint_at_quotes(self, node: Mapping[str, Any]) -> None:
        """`status == "paid"` and `note == null` compare with fields of these names."""
        last, flaw = node["children"][-1], self._flaws[-1]
        if last["type"] == "field" and f"field {last['value']!r}" in flaw.text:
            name = last["value"]
            remedy = (
                f"the value {name} stands in backticks: `{name}`"
                if name in _JSON_WORDS
                else "text stands in single quotes, not in double ones"
            )
            text = f"{flaw.text}; {remedy}"
            self._flaws[-1] = flaw._replace(text=text)

    def _function_expression(self, node: Mapping[str, Any], here: Shape) -> Shape:
        name, arguments = node["value"], node["children"]
        shapes = [self._shape(a, here) for a in arguments if a["type"] != "expref"]
        for argument in arguments:
            if argument["type"] == "expref":
                self._shape(argument["children"][0], shapes[0].items if shapes else ANYTHING)
        signature = Functions.FUNCTION_TABLE[name]["signature"]
        wanted = [s["types"] for s in signature if "expref" not in s["types"]]
        for shape, types in zip(shapes, wanted, strict=False):
            takes = kind_of(*{name.partition("-")[0] for name in types}).kinds if types else set()
            if takes and shape.kinds and shape.kinds.isdisjoint(takes):
                given = " or ".join(sorted(shape.kinds))
                text = f"{name}() takes {' or '.join(sorted(takes))}, not {given}"
                self._flaws.append(Flaw(text))
        return _RESULTS.get(name, ANYTHING)


def _alias_of(name: str, message: type[BaseModel]) -> str:
    """What the field called `name` in Python is called on the wire."""
    field = message.model_fields.get(name)
    return (field.serialization_alias or field.alias or "") if field is not None else ""


def _with_envelope(shape: Shape) -> Shape:
    if shape.is_open or shape.takes_any_field:
        return ANYTHING
    fields = {name: shape.field(name) or ANYTHING for name in shape.names}
    return object_of({**fields, "_envelope": _ENVELOPE})


def _never(operator: str, left: Shape, right: Shape) -> str:
    """Why a comparison has the same result for every message; "" when it has not."""
    ones, others = left.kinds, right.kinds
    if not ones or not others:
        return ""
    sides = f"{' or '.join(sorted(ones))} with {' or '.join(sorted(others))}"
    result = "true" if operator == "ne" else "false"
    if ones.isdisjoint(others):
        return f"{_SIGNS[operator]} compares {sides}: that is always {result}"
    if operator not in EQUALITY:
        ordered = {"text", "a number"} & ones & others
        return "" if ordered else f"{_SIGNS[operator]} compares {sides}: that is always false"
    choices, values = left.choices, right.choices
    if choices and values and choices.isdisjoint(values):
        known = " or ".join(sorted(map(repr, choices if len(choices) > len(values) else values)))
        return f"{_SIGNS[operator]} is always {result}: it is {known}"
    return ""


def _near_choice(left: Shape, right: Shape) -> str:
    few, many = sorted((left.choices, right.choices), key=len)
    word = next(iter(few), None)
    known = [choice for choice in many if isinstance(choice, str)]
    return closest(word, known) if isinstance(word, str) and word not in known else ""


def _misfits(given: Shape, target: type[BaseModel]) -> Iterator[Flaw]:
    wanted, name = read_shape(target), str(wire_type_of(target))
    if given.is_open or wanted.is_open:
        return
    if "an object" not in given.kinds:
        yield Flaw(
            f"it gives {' or '.join(sorted(given.kinds)) or 'null'}, not the fields of {name}"
        )
        return
    fields = [field for field in given.names if field != "_envelope"]
    unknown = [field for field in fields if wanted.field(field) is None]
    hint = closest(unknown[0], wanted.names) if len(unknown) == 1 else ""
    if unknown and target.model_config.get("extra") == "forbid":
        yield Flaw(f"{name} has no field {', '.join(map(repr, unknown))}", hint)
    for field in fields:
        place = wanted.field(field)
        text = _wrong_kind(given.field(field) or ANYTHING, place, target) if place else ""
        if text:
            yield Flaw(f"{field!r} of {name} is {text}")
    if not given.takes_any_field:
        missing = sorted(wanted.required - {*fields, hint})
        yield from (Flaw(f"{name} needs a field {field!r}") for field in missing)


def _wrong_kind(given: Shape, place: Shape, target: type[BaseModel]) -> str:
    """Text may be read as a number; nothing else is read as another kind for certain."""
    ones, others = given.kinds, place.kinds
    if not ones or not others or not ones.isdisjoint(others) or "text" in ones:
        return ""
    is_counted = ones | others <= {"a number", "a boolean"}
    has_format = any("format" in option.schema for option in place.options)  # a time from a number
    if is_counted or has_format or target.model_config.get("coerce_numbers_to_str"):
        return ""
    return f"{' or '.join(sorted(others))}, not {' or '.join(sorted(ones))}"
