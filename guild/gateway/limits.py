"""How much of a gateway one caller, or all of them together, may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is past one of these is refused with a sentence, never cut short in silence.

    Attributes:
        body_bytes: of a request.
        body_s: how long a body may take to come.
        store_s: how long a read waits for a store that answers nothing at all.
        wait_s: the longest that a caller may ask to wait for.
        rate_per_s: requests a second of one caller, on average.
        burst: requests that one caller may send at once.
        streams: streams of server-sent events that are open at a time.
        streams_of_one: the same, of one caller.
        waiting_bytes: events of one stream that wait for its reader.
        stalled_s: a reader that takes nothing for so long is cut off.
        quiet_s: after so long without an event a stream sends a comment, so that both ends notice
            when the other is gone.
    """

    body_bytes: int = 1024 * 1024
    body_s: float = 30.0
    store_s: float = 4.0
    wait_s: float = 3600.0
    rate_per_s: float = 500.0
    burst: int = 1000
    streams: int = 2048
    streams_of_one: int = 256
    waiting_bytes: int = 256 * 1024
    stalled_s: float = 30.0
    quiet_s: float = 15.0


DEFAULT_LIMITS = Limits()
