"""Names of a guild's keys. All start with `{guild-id}`, so a cluster keeps them in one slot.

t:<topic>   stream of the topic, one consumer group per subscribed agent
t:<topic>!  stream of its long payloads, under the positions of their entries
registry    hash: `version` counts changes, `removed` the last one that took a topic away
topics      sorted set: topic by the registry version that brought it
groups      hash: group -> its patterns as JSON
stamps      sorted set: group by when it was subscribed, below zero: unsubscribed (subscriptions.py)
regrouped   sorted set: group by the registry version at which it got its patterns
c:<group>   hash: incarnation -> last commit, "sequence:skipped settlements"
b:<group>   hash: incarnation -> beats
joined      sorted set: incarnation by when it joined, for a day (presence.py)
l:<group>   string: incarnation that reads where the group asks for order
            a partition of a group has its own three, under <group>#<number>
u:<group>   hash: topic that the group left -> last position it is still owed
s:<group>   hash: state key -> "version:value"
x:<group>   hash: state key -> whose turn it is and who waits for it, see common.lua
paused      set of the groups that nobody is to handle for
floors      hash: group -> highest state version ever deleted, so that none is used twice
p:<id>      hash of one producer: stream -> last sequence applied; expires
d, db       delayed entries: sorted set by due time, hash of bodies; counters in the latter
dead        stream of dead letters
replicated  written behind what replicas are asked to confirm
e:<topic>   bound of an ephemeral topic, expiring with it
w, w:<topic>  channels that wake readers: the registry changed, the topic has something
(notification.py)
"""

from functools import lru_cache

RETURNED = "returned"


class Keys:
    """Keys of one guild, as bytes."""

    def __init__(self, guild_id: str) -> None:
        self.prefix = f"{{{guild_id}}}:".encode()
        self.registry = self.prefix + b"registry"
        self.topics = self.prefix + b"topics"
        self.groups = self.prefix + b"groups"
        self.stamps = self.prefix + b"stamps"
        self.joined = self.prefix + b"joined"
        self.regrouped = self.prefix + b"regrouped"
        self.paused = self.prefix + b"paused"
        self.floors = self.prefix + b"floors"
        self.delays = self.prefix + b"d"
        self.delayed_bodies = self.prefix + b"db"
        self.dead = self.prefix + b"dead"
        self.replicated = self.prefix + b"replicated"
        self.registry_channel = self.prefix + b"w"
        self._stream_prefix = self.prefix + b"t:"
        self.stream = lru_cache(maxsize=65_536)(self._stream)
        self.topic_of = lru_cache(maxsize=65_536)(self._topic_of)

    def beside(self, topic: str) -> bytes:
        return self._stream_prefix + topic.encode() + b"!"

    def members(self, group: str) -> bytes:
        return self.prefix + b"c:" + group.encode()

    def beats(self, group: str) -> bytes:
        return self.prefix + b"b:" + group.encode()

    def leader(self, group: str) -> bytes:
        return self.prefix + b"l:" + group.encode()

    def end_offsets(self, group: str) -> bytes:
        return self.prefix + b"u:" + group.encode()

    def state(self, group: str) -> bytes:
        return self.prefix + b"s:" + group.encode()

    def turns(self, group: str) -> bytes:
        return self.prefix + b"x:" + group.encode()

    def producer(self, producer_id: str) -> bytes:
        return self.prefix + b"p:" + producer_id.encode()

    def ephemeral(self, topic: str) -> bytes:
        return self.prefix + b"e:" + topic.encode()

    def channel(self, topic: str) -> bytes:
        return self.prefix + b"w:" + topic.encode()

    def _stream(self, topic: str) -> bytes:
        return self._stream_prefix + topic.encode()

    def _topic_of(self, stream: bytes) -> str:
        return stream[len(self._stream_prefix) :].decode()


def expected_type(key: bytes) -> str:
    """What `TYPE` says of a key of ours."""
    name = key.partition(b"}:")[2]
    if name == b"dead" or name.startswith(b"t:"):
        return "stream"
    if name in (b"topics", b"regrouped", b"stamps", b"joined", b"d"):
        return "zset"
    if name == b"paused":
        return "set"
    return "string" if name.startswith((b"e:", b"l:")) or name == b"replicated" else "hash"
