"""Who takes part: Guildbus, the floor, and whatever of the others is installed."""

import importlib
import sys

from benchmarks.contestant import Contestant
from benchmarks.floor import Floor
from benchmarks.guildbus_peer import GuildbusPeer

OTHERS = {
    "FastStream": ("benchmarks.faststream_peer", "FastStreamPeer"),
    "taskiq": ("benchmarks.taskiq_peer", "TaskiqPeer"),
    "dramatiq": ("benchmarks.dramatiq_peer", "DramatiqPeer"),
    "autogen-core": ("benchmarks.autogen_peer", "AutogenPeer"),
}


def contestants(url: str) -> list[Contestant]:
    """Everybody who can run here; says on stderr who cannot."""
    found: list[Contestant] = [
        GuildbusPeer(url),
        Floor(url),
        GuildbusPeer("memory://", "Guildbus in memory"),
    ]
    for name, (module, peer) in OTHERS.items():
        try:
            found.append(getattr(importlib.import_module(module), peer)(url))
        except ImportError as error:
            print(f"skipped {name}: {error}; pip install 'guildbus[bench]'", file=sys.stderr)
    return found
