"""What an operator must hear of, to the log and to whoever listens."""

from collections.abc import Callable

import structlog

from messaging.backend import Incident

log = structlog.get_logger()

Listener = Callable[[Incident], None]


class Incidents:
    """Passes each incident on; a listener that fails is logged and harms nobody."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def report(self, incident: Incident) -> None:
        log.warning("bus.incident", incident=incident.event, text=incident.text)
        for listener in self._listeners:
            try:
                listener(incident)
            except Exception:  # a listener is somebody else's code, called from our loop
                log.exception("bus.listener_failed", incident=incident.event)
