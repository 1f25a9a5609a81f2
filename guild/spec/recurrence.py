"""When a schedule fires: at the times of a cron expression, or every so many seconds."""

import math
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from guild.suggest import closest


def check_cron(expression: str) -> str:
    """Return `expression` if it is one that ever comes; raises ValueError if not."""
    try:
        next(CronSim(expression, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f"{expression!r} is not a cron expression ({error}): write minute, hour, day of the "
            "month, month, day of the week, as in '*/5 * * * *'"
        ) from None
    return expression


@lru_cache(maxsize=256)
def check_timezone(name: str) -> str:
    """Return `name` if it is a time zone of the IANA database; raises ValueError if not."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # KeyError: zoneinfo's own error is one
        meant = closest(name, available_timezones()) or "Europe/Berlin"
        raise ValueError(f"there is no time zone {name!r}; write one such as {meant!r}") from None
    return name


def next_cron(expression: str, timezone: str, after: float) -> float:
    """The first time of `expression` behind `after`, both in unix seconds.

    A time that the clocks skip in spring comes at the hour's end, one that they repeat in autumn
    comes once.
    """
    local = datetime.fromtimestamp(after, UTC).astimezone(ZoneInfo(timezone))
    return float(next(CronSim(expression, local)).timestamp())


def next_interval(every_s: float, due: float, after: float) -> float:
    """The first of the times `due`, `due + every_s`, … behind `after`."""
    steps = math.floor((after - due) / every_s) + 1
    return due + max(1, steps) * every_s
