"""When the server was away, as the incidents tell: for errors about what did not come in time.

What goes on by itself when the server is back says nothing of an outage that was told.
"""

import math
import time

from messaging.backend import SERVER_AWAY, SERVER_BACK, Incident
from messaging.errors import BackendUnavailableError
from messaging.process.logs import get_logger

log = get_logger()


class Outages:
    """The outage that lasts, and the latest that is over.

    Attributes:
        is_on: the server is away, and that was told.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._began_s, self._ended_s = 0.0, -math.inf

    def hear(self, incident: Incident) -> None:
        """Take note of an incident, if it is one of these."""
        if incident.event == SERVER_AWAY and not self.is_on:
            self.is_on, self._began_s = True, time.monotonic()
        elif incident.event == SERVER_BACK and self.is_on:
            self.is_on, self._ended_s = False, time.monotonic()

    def warn(self, event: str, error: Exception) -> None:
        """Log that a chore failed and is done again; to `debug` if that is the outage of now."""
        is_told = self.is_on and isinstance(error, BackendUnavailableError)
        (log.debug if is_told else log.warning)(event, error=str(error))

    def during(self, last_s: float) -> str:
        """What to add about the last so many seconds; "" if the server was there all the time."""
        now_s = time.monotonic()
        if self.is_on:
            return f"the server has been away for {now_s - self._began_s:.0f} s and more"
        if self._ended_s > now_s - last_s:
            lasted_s = self._ended_s - self._began_s
            return f"the server was away meanwhile, for {lasted_s:.0f} s or more"
        return ""
