"""Options of a backend behind the question mark of its URL, where YAML can set them.

`redis://host/0?profile=durable&max_backlog=50000`
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic import TypeAdapter, ValidationError

from messaging.errors import BackendSetupError


def take_options(url: str, types: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`url` without the options that `types` names, and those, as what they are.

    Raises:
        BackendSetupError: a value that is not of its type, or an option that comes twice.
    """
    base, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    rest = [(name, value) for name, value in pairs if name not in types]
    options: dict[str, Any] = {}
    for name, text in pairs:
        if name not in types:
            continue
        if name in options:
            raise BackendSetupError(f"the URL of the bus sets {name} twice")
        options[name] = _value(name, text, types[name])
    return f"{base}?{urlencode(rest, safe='/')}" if rest else base, options


def refuse_parameters(url: str, types: Mapping[str, Any]) -> None:
    """For kinds of bus that know nothing but options.

    Raises:
        BackendSetupError: something is left behind the question mark.
    """
    base, _, query = url.partition("?")
    if query:
        names = ", ".join(sorted({name for name, _ in parse_qsl(query, keep_blank_values=True)}))
        raise BackendSetupError(
            f"{base} has {names or query} behind the question mark, which it does not know; it "
            f"knows {', '.join(sorted(types))}"
        )


def _value(name: str, text: str, wanted: Any) -> Any:
    try:
        return TypeAdapter(wanted).validate_python(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise BackendSetupError(f"{name}={text} in the URL of the bus: {problem}") from None
