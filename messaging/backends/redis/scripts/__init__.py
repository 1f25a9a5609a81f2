"""The scripts: what has to be one step happens inside the server.

Each is its own file beside this one, with `common.lua` in front. `#!lua` lets Redis 7 refuse a
script as a whole when memory is short, except those that free some or keep the group alive.
Redis 6 knows no such exceptions: short of memory, it refuses beats and receipts too.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent
_REFUSED_WHEN_FULL = "#!lua\n"
_ALLOWED_WHEN_FULL = "#!lua flags=allow-oom\n"
_TRUSTS = "local doubts = false\n"
_DOUBTS = "local doubts = true\n"  # a commit that looks first whether its inputs are still lent


class Script(NamedTuple):
    """A script as the server knows it: by the hash of its text."""

    name: str
    text: str
    sha: str


class Scripts:
    """Every script, for servers that know `#!lua` (Redis 7) and for those that do not."""

    def __init__(self, *, with_shebang: bool = True) -> None:
        def load(name: str, *, when_full: bool = False, setting: str = "") -> Script:
            shebang = _ALLOWED_WHEN_FULL if when_full else _REFUSED_WHEN_FULL
            return make_script(name, (shebang if with_shebang else "") + setting + _source(name))

        self.append = load("append")
        self.commit = load("commit", setting=_TRUSTS)
        self.settle = load(
            "commit", when_full=True, setting=_TRUSTS
        )  # a commit of receipts alone: it frees memory
        self.recommit = load("commit", setting=_DOUBTS)
        self.resettle = load("commit", when_full=True, setting=_DOUBTS)
        self.journal = load("journal")
        self.turn = load("turn", when_full=True)  # it keeps handlers from running for nothing
        self.state_keys = load("state_keys", when_full=True)
        self.drop = load("drop", when_full=True)
        self.moved = load("moved", when_full=True)
        self.registry = load("registry", when_full=True)
        self.create_topics = load("create_topics")
        self.subscribe = load("subscribe", when_full=True)  # or no group could start to catch up
        self.unsubscribe = load("unsubscribe", when_full=True)
        self.pause = load("pause", when_full=True)
        self.repair = load("repair")
        self.retire = load("retire", when_full=True)
        self.join = load("join", when_full=True)
        self.beat = load("beat", when_full=True)
        self.claim = load("claim", when_full=True)
        self.lead = load("lead", when_full=True)
        self.inherit = load("inherit", when_full=True)
        self.read = load("read", when_full=True)
        self.reclaim = load("reclaim", when_full=True)
        self.relend = load("relend", when_full=True)
        self.leave = load("leave", when_full=True)
        self.release = load("release")
        self.trim = load("trim", when_full=True)
        self.open_ephemeral = load("open_ephemeral", when_full=True)  # nor look at what is wrong
        self.emit = load("emit")
        self.requeue = load("requeue")

    def all(self) -> list[Script]:
        return list(vars(self).values())


def make_script(name: str, text: str) -> Script:
    return Script(name, text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324 - Redis's choice


@cache
def _source(name: str) -> str:
    files = (_FOLDER / "common.lua", _FOLDER / f"{name}.lua")
    return "\n".join(file.read_text() for file in files)
