"""What an operator must hear of, to the log and to listeners."""

import time
from collections.abc import Callable

from messaging.backend import LOSSES, Incident
from messaging.control.outages import Outages
from messaging.errors import FencedError
from messaging.process.logs import get_logger

log = get_logger()

ONE_LOSS_S = 10.0

Listener = Callable[[Incident], None]


class Incidents:
    """Passes each incident on; a listener that fails is logged and harms no other.

    Attributes:
        outages: when the server was away.
    """

    def __init__(self) -> None:
        self.outages = Outages()
        self._listeners: list[Listener] = []
        self._has_stopped = False
        self._lost_at_s = -ONE_LOSS_S

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def stopped(self, group: str, error: Exception) -> None:
        """Report that a consumer of `group` stopped, because the server is away.

        While an outage lasts that is told of the first consumer only: it is the same for all.
        """
        is_known, self._has_stopped = self._has_stopped and self.outages.is_on, True
        if is_known:
            log.debug("bus.backend_away", group=group, error=str(error))
            return
        others = "; so do the others here" if self.outages.is_on else ""
        self.report(Incident("backend_away", f"{group} stopped: {error}{others}"))

    def fenced(self, error: FencedError) -> None:
        """Report that a consumer was fenced.

        After a loss of data each consumer is, and what matters of that was told.
        """
        if time.monotonic() - self._lost_at_s < ONE_LOSS_S:
            log.info("bus.fenced_by_loss", error=str(error))
        else:
            self.report(Incident("fenced", f"{error}; it starts again under a new name"))

    def report(self, incident: Incident) -> None:
        was_on = self.outages.is_on
        self.outages.hear(incident)
        if self.outages.is_on is not was_on:
            self._has_stopped = False
        if incident.event in LOSSES:
            self._lost_at_s = time.monotonic()
        if incident.event != "dead_letter":  # the agent that gave up has logged the error
            log.warning("bus.incident", incident=incident.event, text=incident.text)
        for listener in tuple(self._listeners):
            try:
                listener(incident)
            except Exception:  # a listener is somebody else's code, called from our loop
                log.exception("bus.listener_failed", incident=incident.event)
