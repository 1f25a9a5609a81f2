"""The Lua scripts on a real server do what the model says, whatever comes in whichever order."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from messaging.backend import ANY_VERSION, NEVER_ALONE
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.scripts import Script, make_script
from messaging.backends.urls import open_backend
from messaging.wire.envelope import new_id
from tests.messaging.backends.redis.conftest import server_of
from tests.messaging.backends.scripts.model import Member, Model
from tests.servers import running_redis

T = TypeVar("T")

GROUP, TOPIC, OUTPUTS, EPHEMERAL = "team", "in", "out", "_emit.x"
NEVER_MS = 3_600_000
MOST_MEMBERS = 5
LIMIT = 1_000_000
RULES = frozenset(
    {
        "append", "append again", "append with a gap", "append delayed", "release", "read",
        "read as a zombie", "commit", "commit again", "commit stale", "commit with a gap",
        "commit as a zombie", "commit state", "commit outdated state", "commit over any state",
        "commit in a turn", "commit out of turn", "take a turn", "wait for a turn", "end a turn",
        "take a turn as a zombie", "commit dead", "take over",
        "take over what is held", "leave", "return", "take returned", "trim", "emit",
        "emit to nobody",
    }
)  # fmt: skip
FENCE = (
    "commit",
    "if not member then return { 'fenced' } end",
    "if not member then member = '0:' end",
)
MUTANTS = {
    "a commit without fence": (
        "commit",
        "if not member then return { 'fenced' } end",
        "if not member then member = '0:' end",
    ),
    "a commit without sequence": (
        "commit",
        "if sequence == last then return { 'ok', skipped_then, 0 } end",
        "",
    ),
    "a gap that passes": ("commit", "if sequence > last + 1 then return { 'gap', last } end", ""),
    "an append without sequence": ("append", "local skip = last + 1 - first", "local skip = 0"),
    "a takeover without fence": ("claim", "redis.call('HDEL', KEYS[1], old)", ""),
    "trimming what is pending": ("trim", "if field(group, 'pending') > 0 then", "if false then"),
    "state without versions": (
        "commit",
        "if expected >= 0 and version ~= expected then fits = false end",
        "",
    ),
    "state that always expects a version": (
        "commit",
        "if expected >= 0 and version ~= expected then fits = false end",
        "if version ~= expected then fits = false end",
    ),
    "turns that bind nobody": ("commit", "return first and not is_mine(first)", "return false"),
    "turns that never end": ("commit", "if queue[1] and is_mine(queue[1]) then", "if false then"),
    "turns of the dead": (
        "commit",
        "if redis.call('HEXISTS', prefix .. 'c:' .. members, incarnation) == 1 then",
        "if true then",
    ),
    "turns taken one by one": (
        "turn",
        "if ARGV[4] == 'end' or not is_in_all then",
        "if ARGV[4] == 'end' then",
    ),
}
RARE = {"turns of the dead"}  # it takes hundreds of examples to find them
LONG = (pytest.mark.long, pytest.mark.timeout(1_800))
SMALL = settings(
    max_examples=400,
    stateful_step_count=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    report_multiple_bugs=False,
)


class Scripts(RuleBasedStateMachine):
    """Each rule does one thing to the server and to the model; then both must be the same."""

    url: ClassVar[str]
    mutant: ClassVar[tuple[str, str, str] | None] = None
    fired: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.numbers = 0
        self.positions: dict[str, str] = {}
        self.last_commit: dict[str, tuple[list[str], list[str]]] = {}
        self.batches: dict[str, tuple[int, list[str]]] = {}

    @initialize()
    def open(self) -> None:
        backend = open_backend(self.url, f"model-{new_id()}")
        assert isinstance(backend, RedisBackend)
        self.backend = backend
        self.wait(self.backend.open())
        self.server = server_of(self.backend)
        self.keys = self.server.keys
        self.wait(self.backend.subscribe(GROUP, [TOPIC]))
        registry = self.backend._parts.registry  # type: ignore[union-attr]  # it is open
        for topic in (TOPIC, OUTPUTS):
            self.wait(registry.ensure(topic))
        self.stream = self.keys.stream(TOPIC)
        if self.mutant is not None:
            self._mutate(*self.mutant)
        self.join()

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.wait(self.backend.close())
        self.runner.close()

    # -- appending -------------------------------------------------------------------------------

    @rule(producer=st.sampled_from("pq"), count=st.integers(1, 3))
    def append(self, producer: str, count: int) -> None:
        first = self.model.producers.get(producer, 0) + 1
        self._append("append", producer, first, self.texts(count))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), more=st.integers(0, 2))
    def append_again(self, data: st.DataObject, more: int) -> None:
        """As after a lost answer, also with more items behind the same ones."""
        producer = data.draw(st.sampled_from(sorted(self.batches)))
        first, texts = self.batches[producer]
        assume(first + len(texts) - 1 == self.model.producers[producer])
        self._append("append again", producer, first, [*texts, *self.texts(more)])

    @precondition(lambda self: self.model.producers)
    @rule(data=st.data())
    def append_with_a_gap(self, data: st.DataObject) -> None:
        producer = data.draw(st.sampled_from(sorted(self.model.producers)))
        first = self.model.producers[producer] + 2
        self._append("append with a gap", producer, first, self.texts(1))

    @rule(producer=st.sampled_from("pq"), count=st.integers(1, 2))
    def append_delayed(self, producer: str, count: int) -> None:
        first = self.model.producers.get(producer, 0) + 1
        self._append("append delayed", producer, first, self.texts(count), delay_ms=1)

    @precondition(lambda self: self.model.delayed)
    @rule()
    def release(self) -> None:
        time.sleep(0.003)  # the server's clock, not ours
        self.wait(self.backend.release_due())
        self.model.release()
        self.fired["release"] += 1

    # -- reading ---------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.members) < MOST_MEMBERS)
    @rule()
    def join(self) -> None:
        name = f"m{len(self.model.members)}"
        keys = self.keys
        joining = (keys.groups, keys.members(GROUP), keys.beats(GROUP), keys.joined)
        assert self.run(self.server.scripts.join, joining, GROUP, name) == 1
        self.model.members[name] = Member()

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data(), count=st.integers(1, 4))
    def read(self, data: st.DataObject, count: int) -> None:
        name = self.someone(data)
        reply = self.wait(
            self.server.connection.call(
                "XREADGROUP", "GROUP", GROUP, name, "COUNT", count, "STREAMS", self.stream, ">"
            )
        )
        texts = [fields[3].decode() for _, fields in reply[0][1]]
        assert texts == self.model.read(name, count)
        for (position, _), text in zip(reply[0][1], texts, strict=True):
            self.positions[text] = position.decode()
        self.fired["read" if self.model.members[name].counts else "read as a zombie"] += 1

    # -- settling --------------------------------------------------------------------------------

    @precondition(lambda self: any(m.held and m.counts for m in self.model.members.values()))
    @rule(data=st.data(), outputs=st.integers(0, 2), dead=st.booleans())
    def commit(self, data: st.DataObject, outputs: int, dead: bool) -> None:
        name = self.someone(data, lambda member: bool(member.held) and member.counts)
        texts = self.some_held(data, name)
        sequence = self.model.members[name].sequence + 1
        sent = self.texts(outputs)
        self._commit("commit dead" if dead else "commit", name, sequence, texts, sent, dead=dead)
        self.last_commit[name] = (texts, sent)

    @precondition(lambda self: self.last_commit)
    @rule(data=st.data())
    def commit_again(self, data: st.DataObject) -> None:
        """As after a lost answer."""
        name = data.draw(st.sampled_from(sorted(self.last_commit)))
        assume(self.model.members[name].counts)
        sequence = self.model.members[name].sequence
        self._commit("commit again", name, sequence, *self.last_commit[name])

    @precondition(lambda self: any(m.sequence > 1 for m in self.model.members.values()))
    @rule(data=st.data(), is_gap=st.booleans())
    def commit_out_of_turn(self, data: st.DataObject, is_gap: bool) -> None:
        name = self.someone(data, lambda member: member.sequence > 1)
        assume(self.model.members[name].counts)
        sequence = self.model.members[name].sequence + (2 if is_gap else -1)
        texts, kind = (
            self.some_held(data, name, 0),
            "commit with a gap" if is_gap else "commit stale",
        )
        self._commit(kind, name, sequence, texts, self.texts(1))

    @precondition(lambda self: any(m.held and not m.counts for m in self.model.members.values()))
    @rule(data=st.data())
    def commit_as_a_zombie(self, data: st.DataObject) -> None:
        name = self.someone(data, lambda member: bool(member.held) and not member.counts)
        sequence = self.model.members[name].sequence + 1
        self._commit(
            "commit as a zombie", name, sequence, self.some_held(data, name), self.texts(1)
        )

    @precondition(lambda self: any(m.held and m.counts for m in self.model.members.values()))
    @rule(data=st.data(), key=st.sampled_from("kl"), is_outdated=st.booleans())
    def commit_state(self, data: st.DataObject, key: str, is_outdated: bool) -> None:
        name = self.someone(data, lambda member: bool(member.held) and member.counts)
        sequence = self.model.members[name].sequence + 1
        version = self.model.state.get(key, 0) + (3 if is_outdated else 0)
        kind = "commit outdated state" if is_outdated else "commit state"
        texts, sent = self.some_held(data, name), self.texts(1)
        self._commit(kind, name, sequence, texts, sent, write=(key, version))
        self.last_commit.pop(name, None)

    @precondition(lambda self: any(m.held and m.counts for m in self.model.members.values()))
    @rule(data=st.data(), key=st.sampled_from("kl"))
    def commit_over_any_state(self, data: st.DataObject, key: str) -> None:
        name = self.someone(data, lambda member: bool(member.held) and member.counts)
        self._commit_over_any_state(data, name, key)

    @precondition(
        lambda self: (
            any(m.held and m.counts for m in self.model.members.values())
            and sum(m.counts for m in self.model.members.values()) > 1
        )
    )
    @rule(data=st.data(), key=st.sampled_from("kl"))
    def commit_while_another_may_have_the_turn(self, data: st.DataObject, key: str) -> None:
        """Two at one key are rare by chance, and what turns are for."""
        name = self.someone(data, lambda member: bool(member.held) and member.counts)
        other = self.someone(data, lambda member: member.counts)
        self._take_turn(other, "x", key)
        self._commit_over_any_state(data, name, key)

    def _commit_over_any_state(self, data: st.DataObject, name: str, key: str) -> None:
        sequence = self.model.members[name].sequence + 1
        queue = self.model.queue(key)
        kind = "commit over any state"
        if queue:
            kind = "commit in a turn" if queue[0][0] == name else "commit out of turn"
        texts, sent = self.some_held(data, name), self.texts(1)
        self._commit(kind, name, sequence, texts, sent, write=(key, ANY_VERSION))
        self.last_commit.pop(name, None)

    # -- turns -----------------------------------------------------------------------------------

    @rule(data=st.data(), message=st.sampled_from("xy"), keys=st.sampled_from(["k", "l", "kl"]))
    def take_turn(self, data: st.DataObject, message: str, keys: str) -> None:
        self._take_turn(self.someone(data), message, keys)

    def _take_turn(self, name: str, message: str, keys: str) -> None:
        answer = self._turn("take", name, message, keys)
        assert answer == self.model.take_turn(name, message, keys)
        kinds = {-1: "take a turn as a zombie", 0: "wait for a turn", 1: "take a turn"}
        self.fired[kinds[answer]] += 1

    @precondition(lambda self: any(map(self.model.queue, "kl")))
    @rule(data=st.data(), message=st.sampled_from("xy"), keys=st.sampled_from(["k", "l", "kl"]))
    def end_turn(self, data: st.DataObject, message: str, keys: str) -> None:
        name = self.someone(data)
        assert self._turn("end", name, message, keys) == self.model.end_turn(name, message, keys)
        self.fired["end a turn"] += 1

    def _turn(self, action: str, name: str, message: str, keys: str) -> int:
        answer: int = self.run(
            self.server.scripts.turn,
            (self.keys.members(GROUP), self.keys.turns(GROUP)),
            *(GROUP, name, self.keys.prefix, action, message, *keys),
        )
        return answer

    # -- losing and giving back ------------------------------------------------------------------

    @precondition(lambda self: sum(m.counts for m in self.model.members.values()) > 1)
    @rule(data=st.data(), most=st.integers(1, 3))
    def take_over(self, data: st.DataObject, most: int) -> None:
        heir = self.someone(data, lambda member: member.counts)
        victim = data.draw(st.sampled_from([n for n in self.model.members if n != heir]))
        taken = self._claim(heir, victim, most)
        assert taken == self.model.take_over(heir, victim, most)
        self.fired["take over what is held" if taken else "take over"] += 1

    @precondition(lambda self: sum(m.counts for m in self.model.members.values()) > 1)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = self.someone(data, lambda member: member.counts)
        back = self.some_held(data, name, 0)
        held = self.model.members[name].held
        parts = [part for text in back for part in (1, self.positions[text], held[text])]
        keys = (
            self.keys.members(GROUP), self.keys.beats(GROUP), self.keys.joined, self.stream
        )  # fmt: skip
        self.run(self.server.scripts.leave, keys, GROUP, name, "channel", *parts)
        self.model.leave(name, back)
        self.fired["return" if back else "leave"] += 1
        if back and data.draw(st.booleans()):  # by itself it seldom comes soon enough
            self._take_returned(self.someone(data, lambda member: member.counts), 3)

    @precondition(lambda self: self.model.returned)
    @rule(data=st.data(), most=st.integers(1, 3))
    def take_returned(self, data: st.DataObject, most: int) -> None:
        self._take_returned(self.someone(data, lambda member: member.counts), most)

    def _take_returned(self, name: str, most: int) -> None:
        taken = self._claim(name, "returned", most)
        assert taken == self.model.take_returned(name, most)
        self.fired["take returned"] += 1

    # -- upkeep ----------------------------------------------------------------------------------

    @precondition(lambda self: self.model.order)
    @rule()
    def trim(self) -> None:
        self.wait(self.backend.trim())
        self.fired["trim"] += 1

    @rule(count=st.integers(1, 2), opens=st.booleans())
    def emit(self, count: int, opens: bool) -> None:
        keys = (self.keys.stream(EPHEMERAL), self.keys.ephemeral(EPHEMERAL))
        if opens and self.model.ephemeral is None:
            self.run(self.server.scripts.open_ephemeral, keys, NEVER_MS, 1_000)
            self.model.ephemeral = []
        texts = self.texts(count)
        is_kept = self.run(self.server.scripts.emit, keys, "channel", *_entries(texts))
        assert is_kept == self.model.emit(texts)
        self.fired["emit" if is_kept else "emit to nobody"] += 1

    # -- both are the same -----------------------------------------------------------------------

    @invariant()
    def is_as_the_model_says(self) -> None:
        if not hasattr(self, "server"):
            return
        self.wait(self._compare())

    async def _compare(self) -> None:
        call, model = self.server.connection.call, self.model
        stored, outputs, letters, pending, state, members, turns = await asyncio.gather(
            call("XRANGE", self.stream, "-", "+"),
            call("XRANGE", self.keys.stream(OUTPUTS), "-", "+"),
            call("XRANGE", self.keys.dead, "-", "+"),
            call("XPENDING", self.stream, GROUP, "-", "+", 10_000),
            call("HGETALL", self.keys.state(GROUP)),
            call("HKEYS", self.keys.members(GROUP)),
            call("HGETALL", self.keys.turns(GROUP)),
        )
        queues = dict(zip(turns[::2], turns[1::2], strict=True))
        for key in "kl":
            _, *queue = queues.get(key.encode(), b"0").decode().split("\n")
            living = [one for one in queue if model.members[one.split(" ")[1]].counts]
            assert living == [f"{GROUP} {name} {message}" for name, message in model.queue(key)]
        present = [fields[3].decode() for _, fields in stored]
        assert present == [text for text in model.order if text in set(present)]
        assert model.owed() <= set(present), "something that is owed was trimmed"
        assert [fields[3].decode() for _, fields in outputs] == model.outputs
        assert len(letters) == len(model.letters)
        assert {name.decode() for name in members} == {
            n for n, m in model.members.items() if m.counts
        }
        held = {self._at(position): holder.decode() for position, holder, _, _ in pending}
        assert held == {
            **{text: name for name, member in model.members.items() for text in member.held},
            **dict.fromkeys(model.returned, "returned"),
        }
        versions = dict(zip(state[::2], state[1::2], strict=True))
        assert {key.decode(): int(v.split(b":")[0]) for key, v in versions.items()} == model.state
        if model.ephemeral is not None:
            emitted = await call("XRANGE", self.keys.stream(EPHEMERAL), "-", "+")
            assert [fields[3].decode() for _, fields in emitted] == model.ephemeral

    # -- inside ----------------------------------------------------------------------------------

    def _append(
        self, kind: str, producer: str, first: int, texts: Sequence[str], delay_ms: int = 0
    ) -> None:
        delays = ",".join(f"{n}:{delay_ms}" for n in range(1, len(texts) + 1)) if delay_ms else ""
        keys = self.keys
        length = self.wait(self.server.connection.call("XLEN", self.stream))
        answer = self.run(
            self.server.scripts.append,
            (self.stream, keys.producer(producer), keys.delays, keys.delayed_bodies, keys.topics),
            first, LIMIT, 60, "channel", TOPIC, delays, first + len(texts) - 1, *_entries(texts),
        )  # fmt: skip
        stored = answer if answer < 0 else answer - length
        assert stored == self.model.append(producer, first, texts, delayed=bool(delay_ms))
        if stored >= 0:
            self.batches.pop(producer, None)
            if not delay_ms:
                self.batches[producer] = (first, list(texts))
        self.fired[kind] += 1

    def _commit(
        self,
        kind: str,
        name: str,
        sequence: int,
        texts: Sequence[str],
        outputs: Sequence[str],
        *,
        dead: bool = False,
        write: tuple[str, int] | None = None,
    ) -> None:
        keys = self.keys
        receipts = [part for text in texts for part in (0, 7, self.positions[text])]
        adds = [part for text in outputs for part in (0, 8, 0, "header", text)]
        writes = [0, write[0], write[1], "set", "value"] if write else []
        letters = [p for text in texts for p in (0, TOPIC, "header", text, "why", "1.5", new_id())]
        letters = letters if dead else []
        answer = self.run(
            self.server.scripts.commit,
            (
                keys.members(GROUP), keys.state(GROUP), keys.floors, keys.delays,
                keys.delayed_bodies, keys.dead, self.stream, keys.stream(OUTPUTS),
            ),
            keys.prefix, GROUP, name, sequence, LIMIT, LIMIT, 1, 1, len(texts), len(outputs),
            len(writes) // 5, len(texts) if dead else 0,
            OUTPUTS, *receipts, *adds, *writes, *letters,
        )  # fmt: skip
        verdict, detail, *_ = [*answer, b""]
        expected = self.model.commit(name, sequence, texts, outputs, dead=dead, write=write)
        if verdict == b"ok":
            assert [int(index) for index in detail.split(b",") if index] == expected
        else:
            assert verdict.decode() == expected
        self.fired[kind] += 1

    def _claim(self, heir: str, victim: str, most: int) -> list[tuple[str, int]]:
        keys = (self.keys.members(GROUP), self.keys.beats(GROUP), self.stream)
        script, how = self.server.scripts.claim, (GROUP, heir, victim, NEVER_ALONE, most)
        entries, gone, _ = self.run(script, keys, *how)
        assert gone == 0
        for _, position, _, fields in entries:
            self.positions[fields[3].decode()] = position.decode()
        return [(fields[3].decode(), lent) for _, _, lent, fields in entries]

    def _at(self, position: bytes) -> str:
        texts = (text for text, at in self.positions.items() if at == position.decode())
        return next(texts, f"what nobody was lent at {position.decode()}")

    def _mutate(self, name: str, line: str, instead: str) -> None:
        original: Script = getattr(self.server.scripts, name)
        assert original.text.count(line) == 1
        mutant = make_script(name, original.text.replace(line, instead))
        setattr(self.server.scripts, name, mutant)

    def texts(self, count: int) -> list[str]:
        self.numbers += count
        return [f"{number:05d}" for number in range(self.numbers - count, self.numbers)]

    def someone(self, data: st.DataObject, fits: Callable[[Member], bool] = lambda _: True) -> str:
        names = [name for name, member in self.model.members.items() if fits(member)]
        return data.draw(st.sampled_from(names))

    def some_held(self, data: st.DataObject, name: str, least: int = 1) -> list[str]:
        held = list(self.model.members[name].held)
        count = data.draw(st.integers(least, max(least, len(held))))
        return held[:count]

    def run(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        return self.wait(self.server.run(script, keys, *arguments))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


@pytest.mark.timeout(400)  # a step of it is a round trip; a busy machine takes its time
@pytest.mark.parametrize("examples", [40, pytest.param(1_000, marks=LONG)])
def test_the_scripts_do_what_the_model_says(examples: int, tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        machine = _machine(server.url)
        run_state_machine_as_test(machine, settings=settings(SMALL, max_examples=examples))

    assert set(machine.fired) == RULES, "or some rule has proved nothing"


@pytest.mark.parametrize(
    "mutant", [pytest.param(name, marks=LONG if name in RARE else ()) for name in MUTANTS]
)
def test_a_script_with_one_line_less_is_found(mutant: str, tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        machine = _machine(server.url, MUTANTS[mutant])
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=settings(SMALL, phases=[Phase.generate]))


def _entries(texts: Sequence[str]) -> list[str]:
    return [part for text in texts for part in ("header", text)]


def _machine(url: str, mutant: tuple[str, str, str] | None = None) -> type[Scripts]:
    namespace = {"url": url, "mutant": mutant, "fired": Counter[str]()}
    return type("ScriptsUnderTest", (Scripts,), namespace)
