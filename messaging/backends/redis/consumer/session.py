"""What the parts of one consumer have in common."""

from messaging.backends.incarnation import new_incarnation
from messaging.backends.redis.consumer.fence import Fence
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server


class ConsumerSession:
    """One incarnation of a replica at the server.

    Attributes:
        members: key of the registered consumers; one that is not in it is fenced.
        beats: key of their beats.
    """

    def __init__(self, server: Server, registry: TopicRegistry, membership: Membership) -> None:
        self.server = server
        self.registry = registry
        self.membership = membership
        self.group = membership.group
        self.incarnation = new_incarnation()
        self.fence = Fence(self.group, self.incarnation)
        self.members = server.keys.members(membership.name)
        self.beats = server.keys.beats(membership.name)
