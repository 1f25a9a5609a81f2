"""What handlers promise: read from their annotations, checked when their class is made."""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, overload

from pydantic import BaseModel

from guild.errors import HandlerError
from messaging.errors import UnknownTypeError
from messaging.handling.context import Context
from messaging.wire.message import Message, MessageRegistry, wire_type_of

Function = TypeVar("Function", bound=Callable[..., Any])
MessageClass = type[BaseModel]

_DECLARED = "__guild_handles__"
_MESSAGE_AND_CONTEXT = 2


def reader_of(accepted: Iterable[MessageClass], message: MessageClass) -> MessageClass | None:
    """Which of the accepted classes `message` is read as: itself, or a later version of it."""
    name, version = wire_type_of(message)
    versions = [each for each in accepted if wire_type_of(each).name == name]
    try:
        return MessageRegistry(*versions).get(name, version)
    except UnknownTypeError:
        return None


class HandlerContract(NamedTuple):
    """What one handler takes and gives, read from its annotations.

    Attributes:
        method: name of the method.
        accepts: message classes it handles.
        returns: message classes of its answer; empty when it gives none.
        may_be_none: whether it may give no answer.
        sends: message classes it sends by `ctx.send`, as declared.
        answers: message classes it gives by `ctx.answer`, as declared.
        emits: message classes it shows by `ctx.emit`, as declared.
        takes_context: whether it wants the context as well.
    """

    method: str
    accepts: tuple[MessageClass, ...]
    returns: tuple[MessageClass, ...]
    may_be_none: bool
    sends: tuple[MessageClass, ...]
    answers: tuple[MessageClass, ...]
    emits: tuple[MessageClass, ...]
    takes_context: bool


class _Declared(NamedTuple):
    sends: tuple[MessageClass, ...]
    answers: tuple[MessageClass, ...]
    emits: tuple[MessageClass, ...]


@overload
def handles(function: Function, /) -> Function: ...


@overload
def handles(
    *,
    sends: Iterable[MessageClass] = (),
    answers: Iterable[MessageClass] = (),
    emits: Iterable[MessageClass] = (),
) -> Callable[[Function], Function]: ...


def handles(
    function: Callable[..., Any] | None = None,
    /,
    *,
    sends: Iterable[MessageClass] = (),
    answers: Iterable[MessageClass] = (),
    emits: Iterable[MessageClass] = (),
) -> Any:
    """Make a method the handler of the messages that its annotations name.

        @handles
        async def greet(self, request: Greet, ctx: Context) -> Greeted | None: ...

    The context may be left out. The return annotation says what it answers: a message class, a
    union, a list of either, or None; an answer of another class, or none where None is not said,
    fails the handling. The rest of the contract is listed: `sends` by `ctx.send`, `answers` to an
    earlier requester by `ctx.answer`, `emits` by `ctx.emit`. Methods that are not `async` run in a
    worker thread.

    Whatever a handler raises is tried again, as often as the agent's `retry` says, unless the error
    has an attribute `retryable` that is False; see `messaging.process.error_text.is_retryable`.

    Raises:
        HandlerError: an annotation is missing; more is checked when the class is complete.
    """

    def declare(method: Callable[..., Any]) -> Callable[..., Any]:
        _check_shape(method)
        setattr(method, _DECLARED, _Declared(tuple(sends), tuple(answers), tuple(emits)))
        return method

    return declare if function is None else declare(function)


def contracts_of(cls: type) -> dict[str, HandlerContract]:
    """The contracts of every handler that `cls` has, inherited ones included.

    Raises:
        HandlerError: one makes no sense, or two handle the same message.
    """
    contracts = {}
    for name in dict.fromkeys(name for base in cls.__mro__[::-1] for name in vars(base)):
        method = inspect.getattr_static(cls, name)
        if hasattr(method, _DECLARED):
            contracts[name] = _contract(cls, name, method)
    taken: dict[MessageClass, str] = {}
    for contract in contracts.values():
        for message_class in contract.accepts:
            other = taken.setdefault(message_class, contract.method)
            if other != contract.method:
                raise HandlerError(
                    f"{cls.__qualname__}: {other} and {contract.method} both handle "
                    f"{message_class.__name__}; one message goes to one handler"
                )
    return contracts


def _check_shape(method: Any) -> None:
    name = getattr(method, "__qualname__", repr(method))
    if not inspect.isfunction(method):
        raise HandlerError(f"@handles is for methods; {name} is none")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise HandlerError(f"{name} yields; return a list, or use ctx.emit for what comes early")
    parameters = list(inspect.signature(method).parameters.values())[1:]
    if not 1 <= len(parameters) <= _MESSAGE_AND_CONTEXT:
        raise HandlerError(f"{name} takes a message and, if it likes, a context: nothing else")
    for parameter in parameters:
        if parameter.annotation is parameter.empty:
            raise HandlerError(f"{name}: annotate {parameter.name!r}; handlers are found by type")
    if "return" not in method.__annotations__:
        raise HandlerError(f"{name}: annotate what it returns; None if it answers nothing")


def _contract(cls: type, name: str, method: Callable[..., Any]) -> HandlerContract:
    label = f"{cls.__qualname__}.{name}"
    try:
        hints = typing.get_type_hints(method)
    except NameError as error:
        raise HandlerError(
            f"{label}: the annotation {error.name!r} is not to be found in {method.__module__}; "
            "message classes must be defined or imported there, before the agent"
        ) from error
    declared: _Declared = getattr(method, _DECLARED)
    parameters = list(inspect.signature(method).parameters)[1:]
    takes_context = len(parameters) == _MESSAGE_AND_CONTEXT
    if takes_context and hints[parameters[1]] is not Context:
        raise HandlerError(f"{label}: annotate {parameters[1]!r} as Context")
    accepts = _message_classes(hints[parameters[0]], f"{label}: {parameters[0]!r}")
    return HandlerContract(
        method=name,
        accepts=accepts,
        returns=_answer_classes(hints["return"], f"{label}: what it returns"),
        may_be_none=type(None) in _options(hints["return"]),
        sends=declared.sends,
        answers=declared.answers,
        emits=declared.emits,
        takes_context=takes_context,
    )


def _answer_classes(annotation: Any, label: str) -> tuple[MessageClass, ...]:
    classes: dict[MessageClass, None] = {}
    for option in _options(annotation):
        if option is type(None):
            continue
        inner = typing.get_args(option)
        is_many = typing.get_origin(option) in (list, tuple, Sequence, typing.Sequence)
        members = [part for part in inner if part is not Ellipsis] if is_many else [option]
        for member in members:
            classes.update(dict.fromkeys(_message_classes(member, label)))
    return tuple(classes)


def _message_classes(annotation: Any, label: str) -> tuple[MessageClass, ...]:
    options = _options(annotation)
    for option in options:
        if not (isinstance(option, type) and issubclass(option, BaseModel)):
            raise HandlerError(f"{label} must be a message class, not {_shown(option)}")
        if option in (BaseModel, Message):
            raise HandlerError(f"{label} must be a message class of its own, not {option.__name__}")
    return tuple(options)


def _options(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return list(typing.get_args(annotation))
    return [annotation]


def _shown(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)
