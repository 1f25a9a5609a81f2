"""The topics of a guild: what they hold, and what each agent has still to take."""

from collections.abc import Mapping, Sequence

from guild.operations.view import View
from messaging.backend import TopicInfo


class TopicReport(View):
    """One topic.

    Attributes:
        entries: that it holds, settled ones that were not trimmed yet included.
        waiting: by agent, messages that no replica was lent yet.
        in_hand: by agent, messages that were lent and not settled.
        oldest_s: by agent, for how long the oldest message that it has not settled has been there.
    """

    topic: str
    entries: int
    waiting: Mapping[str, int]
    in_hand: Mapping[str, int]
    oldest_s: Mapping[str, float]

    @property
    def owed(self) -> Mapping[str, int]:
        """By agent that has something to do, lent or not."""
        owed = {name: count + self.in_hand.get(name, 0) for name, count in self.waiting.items()}
        return {name: count for name, count in owed.items() if count}


def reports_of(topics: Sequence[TopicInfo]) -> Sequence[TopicReport]:
    return [
        TopicReport(
            topic=info.topic,
            entries=info.entries,
            waiting=dict(info.waiting),
            in_hand=dict(info.pending),
            oldest_s=dict(info.oldest_s),
        )
        for info in topics
    ]
