"""Who takes part: Guildbus, the floor, and the others, whose libraries `make bench` brings."""

# Where to find each; nothing is imported here, for each has a process of its own.
PEERS = {
    "Guildbus": "benchmarks.guildbus_peer:GuildbusPeer",
    "floor by hand": "benchmarks.floor:Floor",
    "Guildbus in memory": "benchmarks.guildbus_peer:GuildbusInMemory",
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
