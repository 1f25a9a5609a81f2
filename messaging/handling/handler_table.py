"""Which handler a message is for, and what to say of messages that have none."""

import inspect
from typing import Any, NamedTuple

from pydantic import BaseModel

from messaging.errors import HandlerResultError, UnknownTypeError
from messaging.handling.subscription import Declared, Handler, Result, Subscription
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope
from messaging.wire.message import MessageRegistry, decode, encode, wire_type_of

log = get_logger()

MOST_IGNORED = 1_024


class Target(NamedTuple):
    """The handler of one message type, and the version that came; None for the class's own.

    Attributes:
        declared: what it says that it returns; None where it says nothing.
        usual: the classes of results that need no closer look.
        takes_context: whether it is called with the context, too.
    """

    message_class: type[BaseModel]
    handler: Any
    is_async: bool
    declared: Declared | None = None
    usual: frozenset[type] | None = None
    takes_context: bool = True
    version: int | None = None

    def check(self, group: str, result: Result) -> None:
        """Look at a result that is not exactly of one of the `usual` classes.

        Raises:
            HandlerResultError: its handler declares to return something else.
        """
        declared = self.declared
        if declared is None:
            return
        given = result if isinstance(result, list | tuple) else (result,)
        for each in given:
            fits = declared.may_be_none if each is None else isinstance(each, declared.classes)
            if not fits:
                name = None if each is None else type(each).__name__
                raise HandlerResultError(
                    f"{group}: {declared.handler} is declared to return {declared} and returned "
                    f"{name}; correct it, or its annotation"
                )

    def message_in(self, envelope: Envelope) -> BaseModel:
        """What the handler is given.

        Raises:
            WireError: the payload does not fit the class, or could not be brought up to it.
        """
        message = envelope.message
        if message is None:
            return decode(self.message_class, envelope.payload, version=self.version)
        if type(message) is self.message_class:
            return message
        return decode(self.message_class, encode(message), version=self.version)


class HandlerTable:
    """The handlers of one group, by wire type.

    Args:
        known: types that others may handle: unhandled here, a message of them is no problem.

    Attributes:
        targets: the handlers by wire type and version, as far as `find` has been asked for them.
    """

    def __init__(self, subscription: Subscription, known: MessageRegistry) -> None:
        self._handled = MessageRegistry(*subscription.handlers)
        self._known = known
        self._only_known_types = subscription.options.only_known_types
        self._ignored: set[tuple[str, int]] = set()
        self.targets: dict[tuple[str, int], Target] = {
            wire_type_of(message_class): _target(
                message_class, handler, subscription.declared.get(message_class)
            )
            for message_class, handler in subscription.handlers.items()
        }

    def find(self, envelope: Envelope) -> Target | UnknownTypeError | None:
        """The handler, None to ignore the message, or why it can be neither."""
        wire_type = (envelope.type, envelope.version)
        target = self.targets.get(wire_type)
        if target is not None or wire_type in self._ignored:
            return target
        return self._find_other(*wire_type)

    def _find_other(self, name: str, version: int) -> Target | UnknownTypeError | None:
        try:
            message_class = self._handled.get(name, version)
        except UnknownTypeError as error:
            if not self._is_for_others(name, version):
                return error
            self._ignore(name, version)
            return None
        target = self.targets[wire_type_of(message_class)]._replace(version=version)
        self.targets[name, version] = target
        return target

    def _ignore(self, name: str, version: int) -> None:
        """Remember it: every answer without a topic comes back here, and handlers do not change."""
        if len(self._ignored) >= MOST_IGNORED:
            self._ignored.clear()
        self._ignored.add((name, version))
        log.debug("type.ignored", type=name, version=version, why="no handler for its type")

    def _is_for_others(self, name: str, version: int) -> bool:
        if self._handled.has(name):
            return self._known.has(name, version)
        return not self._only_known_types or name.startswith("bus.") or self._known.has(name)


def _target(message_class: type[BaseModel], handler: Handler, declared: Declared | None) -> Target:
    usual = None
    if declared is not None:
        usual = frozenset(declared.classes) | ({type(None)} if declared.may_be_none else set())
    takes_context = declared is None or declared.takes_context
    return Target(message_class, handler, _is_async(handler), declared, usual, takes_context)


def _is_async(handler: Handler) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004 - the method itself is looked at
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
