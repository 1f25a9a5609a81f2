"""Who is subscribed, in a form that can be compared with an older or a newer one.

Each group has a stamp: when it was subscribed or unsubscribed last, by the server's clock and
always later than before. The server keeps the stamps beside the groups, and every process remembers
both. A server that comes back with less (emptied, restarted without a file, an older copy) is told
what it has forgotten, group by group; the later stamp wins, whichever process comes first. So no
group returns that was unsubscribed on purpose, as long as the server or a process remembers that.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from messaging.backend import Incident
from messaging.errors import BackendSetupError

MOST_LISTED = 20

_LOST = (
    "the server has lost this guild's data (restarted without persistence, or flushed); "
    "what was accepted and not yet handled is gone"
)
_OUTDATED = (
    "the server has come back with older data of this guild (a backup, a replica that lagged, or "
    "a file cut short); what was written since then is gone, and what was accepted too, unless its "
    "publisher still has it; what was handled since then is handled again"
)
_UNSTAMPED = 1  # a group that was subscribed by a version of the bus without stamps


class Subscriptions(NamedTuple):
    """The groups with their patterns, and the stamps of these and of those that are gone."""

    groups: dict[str, list[str]]
    stamps: dict[str, int]

    def newer_than(self, other: "Subscriptions") -> list[str]:
        """The groups of which this says something later than `other` does."""
        known = other.stamps
        return [group for group, stamp in self.stamps.items() if stamp > known.get(group, 0)]


def subscriptions_in(groups: Sequence[bytes], stamps: Sequence[bytes], key: bytes) -> Subscriptions:
    """What the server keeps.

    Args:
        groups: group, patterns as JSON, group, …
        stamps: group, stamp, …; below zero when the group is gone.
        key: where the groups are, for the error.

    Raises:
        BackendSetupError: the patterns of a group are not ours.
    """
    pairs = zip(groups[::2], groups[1::2], strict=True)
    patterns = {group.decode(): _patterns_in(group, text, key) for group, text in pairs}
    since = dict.fromkeys(patterns, _UNSTAMPED)
    for group, stamp in zip(stamps[::2], stamps[1::2], strict=True):
        since[group.decode()] = abs(int(float(stamp)))
    return Subscriptions(patterns, since)


def loss(known: Subscriptions, forgotten: Sequence[str], *, is_whole: bool) -> Incident:
    """The incident of a server that has forgotten everything, or what came after some moment.

    Args:
        known: what this process knew before.
        forgotten: groups that the server is told of again.
        is_whole: nothing is left of what this process knew.
    """
    text = _LOST if is_whole else _OUTDATED
    again = sorted(group for group in forgotten if group in known.groups)
    ended = sorted(group for group in forgotten if group not in known.groups)
    if again:
        text += f"; subscribed again, as this process remembers: {_listed(again)}"
    if ended:
        text += f"; unsubscribed before, and still so: {_listed(ended)}"
    return Incident("bus.data_lost" if is_whole else "bus.data_outdated", text)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _patterns_in(group: bytes, text: bytes, key: bytes) -> list[str]:
    try:
        return [str(pattern) for pattern in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise BackendSetupError(
            f"the key {key.decode()} holds patterns of {group.decode(errors='replace')} that "
            "guildbus did not write: remove that field (HDEL), or use another guild id or database"
        ) from error
