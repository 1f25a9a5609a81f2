"""Of what a consumer is a member: of a whole group, or of one partition of it."""

from typing import NamedTuple

from messaging.wire.topic import partition_topic_of, retry_topic_of


class Membership(NamedTuple):
    """See `Backend.join`. `partition` None is the group itself."""

    group: str
    partition: int | None = None

    @property
    def name(self) -> str:
        """Under which its consumers, their beats and their leader are kept."""
        return self.group if self.partition is None else f"{self.group}#{self.partition}"

    @property
    def own_topic(self) -> str:
        """What reaches it alone: the retries of a group, all there is for a partition."""
        if self.partition is None:
            return retry_topic_of(self.group)
        return partition_topic_of(self.group, self.partition)
