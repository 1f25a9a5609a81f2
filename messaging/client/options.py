"""What may be said about a message when it is published: written once, for buses and guilds."""

import inspect
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypedDict, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class PublishManyOptions(TypedDict, total=False):
    """What may be said about several messages.

    Attributes:
        conversation: id of the message that this one follows from.
        reply_to: topic to which answers go.
        tags: ids of the agents it is for.
        key: orders handling among equal keys, for agents that ask for it.
        priority: -128 to 127; the highest is handled first of what an agent has at hand.
        deadline_s: from now on; later nobody wants it handled.
        delay_s: how long it is held back.
        at: until when it is held back, instead of `delay_s`.
        require_listener: refuse it when no group is subscribed to the topic; a client of a guild
            refuses it when no agent of the guild handles it there.
    """

    conversation: str
    reply_to: str
    tags: Sequence[str]
    key: str
    priority: int
    deadline_s: float | None
    delay_s: float
    at: datetime | None
    require_listener: bool


class PublishOptions(PublishManyOptions, total=False):
    """What may be said about a message.

    Attributes:
        message_id: a `new_id()` that you keep where a crash does not lose it: published again
            under it within a day, by any process, the message is stored once.
    """

    message_id: str


def spelled_out(*options: type, like: Callable[..., object]) -> Callable[[F], F]:
    """Have `help` and `inspect.signature` show each of `options`, where code says `**options`.

    It happens once, when a class is made: a call costs what it would cost without.

    Args:
        options: the classes above; their descriptions replace that of `options` in `Args:`.
        like: takes each of them by name; its defaults are shown.
    """
    names = {name: None for each in options for name in each.__annotations__}
    taken = [inspect.signature(like).parameters[name] for name in names]
    described = [line for each in options for line in _attributes_of(each)]

    def spell_out(function: F) -> F:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        signature = own.replace(parameters=[*kept, *taken])
        function.__signature__ = signature  # type: ignore[attr-defined] # where `inspect` looks
        function.__doc__ = _with_options(inspect.getdoc(function) or "", described)
        return function

    return spell_out


def _attributes_of(options: type) -> list[str]:
    return (inspect.getdoc(options) or "").partition("Attributes:\n")[2].splitlines()


def _with_options(text: str, described: Sequence[str]) -> str:
    before, mark, after = text.partition("    options: ")
    return "\n".join([before.rstrip(), *described, *after.splitlines()[1:]]) if mark else text
