"""What an agent sends itself when a route failed on one of its messages."""

from pydantic import JsonValue

from messaging.wire.message import Message


class RouteAgain(Message, wire_name="guild.route_again"):
    """A message on which a route failed, for the agent that gave it.

    Attributes:
        route: which of the routes of its type to its topic, counted from 0.
        facts: what `_envelope` told.
    """

    to: str
    route: int
    type: str
    version: int
    payload: str
    facts: dict[str, JsonValue]
