"""Who takes part: Guildbus, the floor, and the others, whose libraries the extra `bench` brings."""

# Where to find each; nothing is imported here, for each has a process of its own.
PEERS = {
    "Guildbus": "benchmarks.guildbus_peer:GuildbusPeer",
    "floor by hand": "benchmarks.floor:Floor",
    "Guildbus in memory": "benchmarks.guildbus_peer:GuildbusInMemory",
    "FastStream": "benchmarks.faststream_peer:FastStreamPeer",
    "taskiq": "benchmarks.taskiq_peer:TaskiqPeer",
    "dramatiq": "benchmarks.dramatiq_peer:DramatiqPeer",
    "autogen-core in memory": "benchmarks.autogen_peer:AutogenPeer",
}
