"""What no message class may have, for it could never arrive: found when the class is made.

Where only the value decides, the message is refused when it is published; see `fidelity`.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from messaging.errors import UnfitClassError
from messaging.wire.json_limits import path_to

_FIELDS = frozenset({"model-field", "dataclass-field", "typed-dict-field"})
_UNREADABLE = frozenset({"is-instance", "is-subclass", "callable"})
# Validators of the class's own may make up for anything: then each message is tried.
_OWN_CODE = frozenset({"function-before", "function-wrap", "function-plain"})
_CHILDREN = (
    "schema", "items_schema", "keys_schema", "values_schema", "choices", "fields", "definitions",
    "json_schema", "lax_schema", "arguments_schema",
)  # fmt: skip

_STARS = (
    "a secret would arrive as stars; send the name under which the receiver finds it, or declare a "
    "str if it may be stored in the open"
)
_NEVER_WRITTEN = (
    "it is required and excluded from JSON, so that it could never be read; give it a default, or "
    "take exclude=True away"
)
_INIT_ONLY = "a required InitVar is not written, so that it could never be read; make it a field"
_ONCE = "an iterator can be read only once; declare a tuple or a list"
_BYTES = (
    "its bytes are written as {} and read as {}; set ser_json_bytes and val_json_bytes alike in "
    "the model_config"
)

Location = tuple[str, ...]

MOST_REMEMBERED = 4_096


def check_class(message_class: type[BaseModel]) -> None:
    """Pass when messages of this class may arrive; looks at no class that is not complete yet.

    Raises:
        UnfitClassError: they cannot; it names each field and the remedy.
    """
    if not message_class.__pydantic_complete__:
        return
    schema = message_class.__pydantic_core_schema__
    _, problems = _look_at(message_class, id(schema))
    if problems:
        name = f"{message_class.__module__}.{message_class.__qualname__}"
        raise UnfitClassError(name, problems)


@lru_cache(MOST_REMEMBERED)
def _look_at(message_class: type[BaseModel], _: int) -> tuple[object, tuple[str, ...]]:
    """The schema, by whose id this is remembered, and what is wrong with it.

    A large class takes milliseconds to look at, and those with a value of any kind are asked about
    with each message. A class that is built anew has another schema. A schema refers to its class,
    so that a weak reference to the class would keep it for good.
    """
    schema = message_class.__pydantic_core_schema__
    return schema, tuple(dict.fromkeys(_problems(schema, (), {})))


def _problems(node: Any, at: Location, config: Mapping[str, Any]) -> Iterator[str]:
    kind = node.get("type")
    if _is_secret(node):
        yield f"{path_to(at)}: {_STARS}"
    if "serialization" in node or kind in _OWN_CODE:
        return
    config = node.get("config", config)
    if kind in _FIELDS:
        yield from (f"{path_to(at)}: {problem}" for problem in _field_problems(node))
    if kind == "generator":
        yield f"{path_to(at)}: {_ONCE}"
    if kind == "bytes":
        written, read = config.get("ser_json_bytes", "utf8"), config.get("val_json_bytes", "utf8")
        if written != read:
            yield f"{path_to(at)}: {_BYTES.format(written, read)}"
    for name, child in _children_of(node):
        yield from _problems(child, (*at, name) if name else at, config)


def _field_problems(node: Mapping[str, Any]) -> Iterator[str]:
    schema = node["schema"]
    is_required = schema.get("type") != "default" and node.get("required", True)
    if not is_required:
        return
    if node.get("serialization_exclude"):
        yield _NEVER_WRITTEN
    if node.get("init_only"):
        yield _INIT_ONLY
    if schema.get("type") in _UNREADABLE and "serialization" not in schema:
        name = getattr(schema.get("cls"), "__name__", schema["type"])
        yield (
            f"no JSON can be read as {name}; declare a model or a plain value, or give the type a "
            "serializer and a validator"
        )


def _is_secret(node: Mapping[str, Any]) -> bool:
    function = node.get("serialization", {}).get("function")
    module, name = getattr(function, "__module__", ""), getattr(function, "__name__", "")
    return module == "pydantic.types" and "secret" in name


def _children_of(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in _CHILDREN:
        child = node.get(key)
        if isinstance(child, Mapping):
            named = [("", child)] if isinstance(child.get("type"), str) else child.items()
            yield from ((str(name), each) for name, each in named)
        elif isinstance(child, list | tuple):
            for each in child:
                schema = each[0] if isinstance(each, tuple) else each
                if isinstance(schema, Mapping):
                    yield str(schema.get("name", "")) if key == "fields" else "", schema
