"""Options of a backend behind the question mark of its URL, where YAML can set them.

`redis://host/0?profile=durable&max_backlog=50000`
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic import TypeAdapter, ValidationError

from messaging.errors import BackendSetupError

_LOGIN = {"password", "username", "user"}


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


def refuse_parameters(
    url: str, options: Iterable[str], parameters: Iterable[str] = (), *, shown: str = ""
) -> None:
    """Pass when nothing but `parameters` is left behind the question mark of `url`.

    Args:
        url: what is left of the URL without the options of the bus.
        options: the options that this kind of bus has.
        parameters: what says how to connect, where there is more to say.
        shown: how the URL may be shown; "" for its part before the question mark.

    Raises:
        BackendSetupError: something else is left.
    """
    base, _, query = url.partition("?")
    given = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    unknown = sorted(given - set(parameters)) if given else [query] * bool(query)
    if not unknown:
        return
    known = sorted({*options, *parameters})
    near = get_close_matches(unknown[0], known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if not _LOGIN.isdisjoint(unknown):
        hint = "; user and password stand before the host, or before the path of a socket, and an @"
    raise BackendSetupError(
        f"{shown or base} has {', '.join(unknown)} behind the question mark, which the bus does "
        f"not know; it knows {', '.join(known)}{hint}"
    )


def _value(name: str, text: str, wanted: Any) -> Any:
    try:
        return TypeAdapter(wanted).validate_python(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise BackendSetupError(f"{name}={text} in the URL of the bus: {problem}") from None
