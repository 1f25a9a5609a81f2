"""Turns an envelope that was received into a message, known type or not."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from messaging.errors import InvalidMessageError, UnknownTypeError
from messaging.wire.envelope import Envelope, payload_of
from messaging.wire.json_limits import TOO_DEEP, is_too_deep, problems_in_value
from messaging.wire.message import MessageRegistry, decode
from messaging.wire.replies import Cancelled, RequestFailed, UnknownMessage

_BUS_TYPES = MessageRegistry(RequestFailed, Cancelled)


class Decoder:
    """Decodes by a registry; a type that is not in it comes as `UnknownMessage`."""

    def __init__(self, registry: MessageRegistry) -> None:
        self._registry = registry

    def read(self, envelope: Envelope) -> BaseModel:
        """The message in `envelope`.

        Raises:
            InvalidMessageError: the payload does not fit its type, or is no JSON.
        """
        message_class = self._class_of(envelope)
        if message_class is None:
            return UnknownMessage(
                type=envelope.type, version=envelope.version, data=_json_of(envelope)
            )
        if type(envelope.message) is message_class:
            return envelope.message
        return decode(message_class, payload_of(envelope), version=envelope.version)

    def _class_of(self, envelope: Envelope) -> type[BaseModel] | None:
        for registry in (self._registry, _BUS_TYPES):
            try:
                return registry.get(envelope.type, envelope.version)
            except UnknownTypeError:
                continue
        return None


def _json_of(envelope: Envelope) -> dict[str, Any]:
    payload = payload_of(envelope)
    if is_too_deep(payload):
        raise InvalidMessageError(envelope.type, (TOO_DEEP,))
    try:
        data = from_json(payload)
    except ValueError:
        raise InvalidMessageError(envelope.type, ("message: it is not JSON",)) from None
    if problems := problems_in_value(data):
        raise InvalidMessageError(envelope.type, problems)
    return data if isinstance(data, dict) else {"value": data}
