"""How the messages of a class travel, found out once from its schema.

A class is *sure* when its schema alone says that what is written is read back equal. Its messages
are written and sent. Those of any other class, one with an `Any`, a `datetime`, a validator, are
*tried*: read back where they are published, and refused there if they would arrive as another.

A sure class without a list, dict or set anywhere is *shareable*: the memory bus may hand over the
very object.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from messaging.wire.json_limits import LARGEST_INT, Leeway, leeway_of

SMALLEST_INT = -LARGEST_INT
# What is longer is written, and so measured against the cap on a payload.
MOST_SHARED_CHARACTERS = 100_000
MOST_SHARED_BYTES = 2**20  # however they are escaped

# Read back equal whatever they hold. No datetime: of an offset pydantic writes hours and minutes.
_SURE = frozenset({"str", "int", "float", "bool", "none", "uuid", "date", "definition-ref"})
_DISTINCT_IN_JSON = frozenset({"str", "int", "float", "bool", "none"})
_MUTABLE = frozenset({"list", "set", "dict"})
_TRANSPARENT = frozenset({"nullable", "default", "definitions", "model-fields", "model-field"})
_CONTAINERS = {
    "list": "items_schema",
    "set": "items_schema",
    "frozenset": "items_schema",
    "tuple": "items_schema",
}
_LIMITS = frozenset({"ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length"})
_CHILDREN = ("schema", "items_schema", "values_schema", "choices", "fields", "definitions")
_RENAMED = ("validation_alias", "serialization_alias")
_CHANGING = ("custom_init", "post_init", "root_model", "serialization", "extras_schema")
_SCALARS = (str, int, bool, type(None))
_SHORT = frozenset({bool, type(None), float, UUID, date})


class Unverified(set[str]):
    """The set fields of a message that skipped validation, and so has to be tried."""


class Fidelity(NamedTuple):
    """How the messages of one class travel.

    Attributes:
        is_sure: nothing has to be tried, while none of `models` has a subclass.
        is_simple: nothing has to be looked at, either: it has neither `models` nor what is mutable.
        is_mutable: a list, dict or set may have got items that were not validated.
        is_shareable: such a message cannot be changed.
        has_own_names: aliases do not lead back; it is written and read by its fields' names.
        models: classes within, whose subclasses would be read back as them.
    """

    is_sure: bool
    is_simple: bool
    is_mutable: bool
    is_shareable: bool
    has_own_names: bool
    models: tuple[type, ...]
    leeway: Leeway | None

    def is_sure_of(self, message: BaseModel) -> bool:
        """Whether this very message need not be tried."""
        if not self.is_sure or type(message.__pydantic_fields_set__) is Unverified:
            return False
        return not (self.models and _have_subclasses(self.models))


@lru_cache(maxsize=4096)
def fidelity_of(message_class: type[BaseModel]) -> Fidelity:
    """How messages of this class travel."""
    leeway = leeway_of(message_class)  # completes the class
    schema = message_class.__pydantic_core_schema__
    look = _Look()
    look.at(schema)
    look.models.discard(message_class)
    has_only_ints = leeway is None or not (leeway.depth or leeway.floats)
    return Fidelity(
        is_sure=look.is_sure,
        is_simple=look.is_sure and not (look.is_mutable or look.models),
        is_mutable=look.is_mutable,
        is_shareable=look.is_sure and not (look.is_mutable or look.keeps_results) and has_only_ints,
        has_own_names=has_own_names(schema),
        models=tuple(look.models),
        leeway=leeway,
    )


def may_share(message: BaseModel, models: Sequence[type]) -> bool:
    """Whether handing over `message` itself comes to the same as writing and reading it.

    Args:
        message: of a class that is shareable.
        models: those of the class's fidelity.
    """
    if type(message.__pydantic_fields_set__) is Unverified:
        return False
    size: float = 0
    for value in message.__dict__.values():  # the two most frequent kinds without a call
        kind = type(value)
        if kind is str and value.isascii():
            size += len(value)
        elif kind is not int or not SMALLEST_INT <= value < LARGEST_INT:
            size += _characters_in(value)
    return size <= MOST_SHARED_CHARACTERS and not (models and _have_subclasses(models))


def _have_subclasses(models: Sequence[type]) -> bool:
    # A loop costs half of what `any` does.
    for model in models:  # noqa: SIM110
        if model.__subclasses__():
            return True
    return False


def _characters_in(value: Any) -> float:
    """How many there are; infinity where it would not arrive as just this value."""
    kind = type(value)
    if kind is str:
        return len(value) if value.isascii() or _has_utf8(value) else math.inf
    if kind is int:
        return 1 if SMALLEST_INT <= value < LARGEST_INT else math.inf
    if kind is tuple or kind is frozenset:
        return len(value) + sum(map(_characters_in, value))
    if isinstance(value, BaseModel):
        return sum(map(_characters_in, value.__dict__.values()))
    if isinstance(value, Enum):
        return _characters_in(value.value)
    return 0 if kind in _SHORT else math.inf


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Look:
    """What a core schema says of its messages."""

    def __init__(self) -> None:
        self.is_sure = True
        self.is_mutable = False
        self.keeps_results = False
        self.models: set[type] = set()

    def at(self, node: Mapping[str, Any], *, in_mutable: bool = False) -> None:
        kind = node.get("type")
        self.is_sure &= _is_sure_node(kind, node)
        # Pydantic validated them, but not what was appended since, of which only the type is looked
        # at when it is written.
        self.is_sure &= not ((in_mutable or kind in _MUTABLE) and _LIMITS & node.keys())
        if kind in _MUTABLE:
            self.is_mutable = in_mutable = True
        if kind == "model":
            self.models.add(node["cls"])
            self.keeps_results |= _keeps_results(node["cls"])
        for child in _children_of(node):
            self.at(child, in_mutable=in_mutable)


def _is_sure_node(kind: Any, node: Mapping[str, Any]) -> bool:
    if "serialization" in node:
        return False
    if kind in _SURE or kind == "definitions":
        return True
    if kind in _CONTAINERS:
        return _CONTAINERS[kind] in node
    rule = _RULES.get(kind)
    return rule(node) if rule is not None else kind in _TRANSPARENT


def _is_sure_model(node: Mapping[str, Any]) -> bool:
    config, cls = node.get("config", {}), node["cls"]
    return (
        bool(cls.model_config.get("frozen"))
        and not any(node.get(key) for key in _CHANGING)
        and not cls.__private_attributes__
        and "allow" not in (config.get("extra_fields_behavior"), node.get("extra_behavior"))
    )


def _keeps_results(cls: type) -> bool:
    """Whether a cached property may lay something into a message that others could change."""
    names = (value for base in cls.__mro__ for value in vars(base).values())
    return any(isinstance(value, cached_property) for value in names)


def _is_sure_field(node: Mapping[str, Any]) -> bool:
    changing = (*_RENAMED, "serialization_exclude", "serialization_exclude_if")
    return not any(node.get(key) for key in changing)


def _is_sure_fields(node: Mapping[str, Any]) -> bool:
    has_extras = node.get("extra_behavior") == "allow" or "extras_schema" in node
    return not node.get("computed_fields") and not has_extras


def _is_sure_dict(node: Mapping[str, Any]) -> bool:
    keys = node.get("keys_schema", {})
    return keys.get("type") == "str" and "serialization" not in keys and "values_schema" in node


def _is_sure_union(node: Mapping[str, Any]) -> bool:
    choices = [each[0] if isinstance(each, tuple) else each for each in node["choices"]]
    kinds = [each.get("type") for each in choices]
    is_distinct = len(set(kinds)) == len(kinds) and _DISTINCT_IN_JSON.issuperset(kinds)
    return is_distinct and node.get("mode", "smart") == "smart"


def _is_sure_enum(node: Mapping[str, Any]) -> bool:
    return "missing" not in node and all(type(m.value) in _SCALARS for m in node["members"])


_RULES: Mapping[Any, Callable[[Mapping[str, Any]], bool]] = {
    "model": _is_sure_model,
    "model-field": _is_sure_field,
    "model-fields": _is_sure_fields,
    "dict": _is_sure_dict,
    "union": _is_sure_union,
    "enum": _is_sure_enum,
    "literal": lambda node: all(type(each) in _SCALARS for each in node["expected"]),
    "tagged-union": lambda node: not callable(node["discriminator"]),
}


def _children_of(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _CHILDREN:
        child = node.get(name)
        if isinstance(child, Mapping):
            yield from [child] if isinstance(child.get("type"), str) else child.values()
        elif isinstance(child, list | tuple):
            parts = (each[0] if isinstance(each, tuple) else each for each in child)
            yield from (part for part in parts if isinstance(part, Mapping))


# -- names ---------------------------------------------------------------------------------------


def has_own_names(schema: Any) -> bool:
    """Whether some field would not be found again under the name that it is written under."""
    return any(_is_ambiguous(fields, config) for fields, config in _fields_in(schema, {}))


def _is_ambiguous(fields: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> bool:
    if not any(field.get(alias) for field in fields.values() for alias in _RENAMED):
        return False
    written = {name: _written_as(name, field, config) for name, field in fields.items()}
    read = {name: set(_read_from(name, field, config)) for name, field in fields.items()}
    return any(
        (written[name] in read[other]) != (name == other) for name in fields for other in fields
    )


def _written_as(name: str, field: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    by_alias = config.get("serialize_by_alias", False)
    return str(field.get("serialization_alias", name)) if by_alias else name


def _read_from(name: str, field: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """The keys at which a field looks; of a path the first one."""
    alias = field.get("validation_alias")
    if alias is None:
        yield name
        return
    if config.get("validate_by_name") or config.get("populate_by_name"):
        yield name
    if config.get("validate_by_alias", True):
        paths = [alias] if isinstance(alias, str) else alias
        yield from (str(path if isinstance(path, str | int) else path[0]) for path in paths)


def _fields_in(
    node: Any, config: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each set of fields within a schema, by name, and the configuration it is under."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from _fields_in(each, config)
    if not isinstance(node, Mapping):
        return
    if not isinstance(node.get("type"), str):  # no schema, but fields by name, whatever these are
        for each in node.values():
            yield from _fields_in(each, config)
        return
    config = node.get("config", config)
    fields = node.get("fields")
    if isinstance(fields, list):
        named = {each["name"]: each for each in fields if "name" in each}
        yield named, config
    elif isinstance(fields, Mapping):
        yield fields, config
    for key, each in node.items():
        if key not in ("metadata", "default", "config"):
            yield from _fields_in(each, config)
