"""What orders a message among those of its group."""

from pydantic_core import from_json

from messaging.backend import Delivery
from messaging.wire.envelope import payload_of

BY_KEY = "key"


def key_of(delivery: Delivery, ordered_by: str) -> str:
    """What orders `delivery`; "" where nothing does."""
    envelope = delivery.envelope
    if ordered_by == BY_KEY or delivery.fault:
        return envelope.key
    if envelope.message is not None:
        value = getattr(envelope.message, ordered_by, None)
    else:
        value = _field(payload_of(envelope), ordered_by)
    return "" if value is None else str(value)


def _field(payload: bytes, name: str) -> object:
    try:
        fields = from_json(payload)
    except ValueError:
        return None  # its handling will say what is wrong with it
    return fields.get(name) if isinstance(fields, dict) else None
