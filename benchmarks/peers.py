"""Who takes part: Guildbus by a guild and by the bus, the floor, and the others, whose libraries
`make bench` brings.
"""

# Where to find each; nothing is imported here, for each has a process of its own.
PEERS = {
    "Guildbus": "benchmarks.guildbus_peer:GuildPeer",
    "bus beneath": "benchmarks.guildbus_peer:BusPeer",
    "floor by hand": "benchmarks.floor:Floor",
    "Guildbus in memory": "benchmarks.guildbus_peer:GuildInMemory",
    "bus beneath in memory": "benchmarks.guildbus_peer:BusInMemory",
    "FastStream": "benchmarks.faststream_peer:FastStreamPeer",
    "FastStream batches": "benchmarks.faststream_peer:FastStreamBatches",
    "FastStream lists": "benchmarks.faststream_peer:FastStreamLists",
    "taskiq": "benchmarks.taskiq_peer:TaskiqPeer",
    "dramatiq": "benchmarks.dramatiq_peer:DramatiqPeer",
    "arq": "benchmarks.arq_peer:ArqPeer",
    "streaq": "benchmarks.streaq_peer:StreaqPeer",
    "rusticai": "benchmarks.rusticai_peer:RusticAIPeer",
    "autogen-core in memory": "benchmarks.autogen_peer:AutogenPeer",
}
