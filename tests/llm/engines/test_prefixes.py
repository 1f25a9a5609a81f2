"""What was read for one answer serves others: in memory, and on disk after a restart."""

import os
import resource
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs
from transformers import AutoModelForCausalLM

from agents.llm.engines import EngineConfig, Finished, GenerationRequest, create_engine, prefixes
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.prefix_files import FolderOfPrefixes
from agents.llm.engines.prefixes import MIN_TOKENS, Prefixes
from agents.llm.engines.snapshot import Snapshot

SHARED = tuple(range(100, 180))
MakeEngine = Callable[..., LocalEngine]


@pytest.fixture
async def make_engine(tiny_phi: Path) -> AsyncIterator[MakeEngine]:
    engines: list[Any] = []

    def make(model: Path = tiny_phi, **options: Any) -> LocalEngine:
        config = EngineConfig(model=str(model), device="cpu", options=options)
        engines.append(create_engine(config))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.close()


async def ask(engine: LocalEngine, *tail: int, prompt: tuple[int, ...] = SHARED) -> Finished:
    request = GenerationRequest(prompt_ids=(*prompt, *tail), do_sample=False, max_new_tokens=5)
    return await (await engine.submit(request)).result()


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_a_beginning_that_was_read_is_not_read_again(make_engine: MakeEngine) -> None:
    remembering, forgetful = make_engine(), make_engine(prompt_cache_bytes=0)

    first, second = await ask(remembering, 5, 6), await ask(remembering, 7)

    assert first.cached_tokens == 0
    assert second.cached_tokens == len(SHARED)
    assert second == await ask(forgetful, 7)
    assert (await ask(forgetful, 7)).cached_tokens == 0


async def test_a_conversation_goes_on_after_what_the_model_said_itself(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine()
    first = await ask(engine)
    history = (*SHARED, *first.token_ids)

    second = await ask(engine, 9, prompt=history)

    assert second.cached_tokens == len(history) - 1  # the last token of an answer is never read


async def test_the_same_prompt_again_reads_its_last_token_only(make_engine: MakeEngine) -> None:
    engine = make_engine()
    first, second = await ask(engine), await ask(engine)

    assert second == first
    assert second.cached_tokens == len(SHARED) - 1


async def test_short_beginnings_are_not_kept(make_engine: MakeEngine) -> None:
    engine = make_engine()
    await engine.load()
    idle = engine.stats.memory_bytes

    await ask(engine, prompt=SHARED[: MIN_TOKENS - 10])

    assert engine.stats.memory_bytes == idle


async def test_what_is_kept_is_counted_and_bounded(make_engine: MakeEngine) -> None:
    engine = make_engine(prompt_cache_bytes=100_000)
    await engine.load()
    idle = engine.stats.memory_bytes

    for number in range(20):
        await ask(engine, prompt=(number, *SHARED))

    assert 0 < engine.stats.memory_bytes - idle <= 100_000


async def test_shared_beginnings_outlive_the_engine(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    folder = tmp_path / "prompts"
    before = make_engine(prompt_cache_folder=str(folder))
    for number in range(3):
        said = await ask(before, number, 50)
    await before.close()

    after = await ask(make_engine(prompt_cache_folder=str(folder)), 2, 50)

    assert after == said
    assert after.cached_tokens == len(SHARED)
    assert len(list(folder.iterdir())) == 1


async def test_every_prompt_is_kept_where_that_is_wished_and_its_beginning_only_once(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    options = {"prompt_cache_folder": str(tmp_path), "prompt_cache_saves": "prompts"}
    before = make_engine(**options)
    for number in range(3):
        said = await ask(before, 50, number)
    await before.close()
    (kept,) = files_in(tmp_path)

    after = await ask(make_engine(**options), 50, 2)

    assert after == said
    assert after.cached_tokens == len(SHARED) + 1
    assert files_in(tmp_path) == [kept]


async def test_other_weights_never_use_them(
    make_engine: MakeEngine, tiny_phi: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "prompts"
    for number in range(2):
        await ask(make_engine(prompt_cache_folder=str(folder)), number)
    engine = make_engine(prompt_cache_folder=str(folder))
    await ask(engine, 1)
    await ask(engine, 2)
    other = Path(shutil.copytree(tiny_phi, tmp_path / "other"))
    model = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        model.model.layers[0].self_attn.v_proj.weight.mul_(1.01)
    model.save_pretrained(other)

    same = await ask(make_engine(prompt_cache_folder=str(folder)), 3)
    changed = await ask(make_engine(other, prompt_cache_folder=str(folder)), 3)

    assert same.cached_tokens == len(SHARED)
    assert changed.cached_tokens == 0


@pytest.mark.parametrize("damage", ["cut off", "empty", "another text", "no file at all"])
async def test_a_damaged_file_is_told_of_and_read_anew(
    make_engine: MakeEngine, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "prompts"
    before = make_engine(prompt_cache_folder=str(folder))
    said = [await ask(before, number) for number in range(3)]
    await before.close()
    (path,) = folder.iterdir()
    content = path.read_bytes()
    if damage == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "another text":
        other = make_engine(prompt_cache_folder=str(tmp_path / "other"))
        for number in range(3):
            await ask(other, number, prompt=SHARED[1:])
        (unrelated,) = (tmp_path / "other").iterdir()
        shutil.copy(unrelated, path)
    engine = make_engine(prompt_cache_folder=str(folder))
    with capture_logs() as logs:
        await engine.load()
        if damage == "no file at all":
            path.unlink()
        again = [await ask(engine, number) for number in range(3)]

    assert again == said
    assert [finished.cached_tokens for finished in again] == [0, len(SHARED), len(SHARED)]
    assert path.exists(), "it is written anew"
    told = [entry for entry in logs if entry["event"] == "prefix.not_used"]
    assert bool(told) == (damage != "no file at all")


async def test_a_full_disk_costs_nothing_but_what_would_have_been_kept(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    engine = make_engine(prompt_cache_folder=str(tmp_path), prompt_cache_saves="prompts")
    await engine.load()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs() as logs:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            said = await ask(engine, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert len(said.token_ids) == 5
    assert files_in(tmp_path) == []
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "prefix.not_used"
    ]


def test_looking_at_what_is_there_is_no_use_of_it(tmp_path: Path) -> None:
    files = FolderOfPrefixes(tmp_path, "model", torch.device("cpu"))
    texts = [np.arange(number, number + 40) for number in range(3)]
    for age, ids in enumerate(texts):
        files.save(ids, {"0.keys": torch.zeros(1, 40, 1)})
        (path,) = [path for path in files_in(tmp_path) if path.stat().st_mtime_ns > 10**18]
        os.utime(path, ns=(age, age))

    assert [ids[0] for ids in files.known()] == [0, 1, 2], "the least recently used first"
    assert [ids[0] for ids in files.known()] == [0, 1, 2]
    files.load(texts[0])
    assert [ids[0] for ids in files.known()] == [1, 2, 0]


def test_texts_that_lie_in_files_are_not_remembered_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "_MOST_TEXTS", 10)
    files = FolderOfPrefixes(tmp_path, "model", torch.device("cpu"))
    kept = Prefixes(10_000, can_crop=True, files=files, files_prompts=True)
    texts = [[number] * 40 for number in range(30)]
    for text in texts:
        kept.add(text, lambda: {"0.keys": torch.zeros(1, 40, 1)}, is_prompt=True)

    found = [kept.find([*text, 99]) is not None for text in texts]

    assert found == [False] * 20 + [True] * 10
    assert len(files.known()) == 30


def test_the_least_recently_used_goes_first() -> None:
    snapshot: Snapshot = {"0.keys": torch.zeros(1, 40, 1), "0.values": torch.zeros(1, 40, 1)}
    kept = Prefixes(2 * 320, can_crop=True)
    texts = [[number] * 40 for number in range(3)]
    kept.add(texts[0], lambda: snapshot)
    kept.add(texts[1], lambda: snapshot)
    assert kept.find([*texts[0], 9])

    kept.add(texts[2], lambda: snapshot)

    found = [kept.find([*text, 9]) is not None for text in texts]
    assert found == [True, False, True]


def test_one_that_is_larger_than_the_bound_is_not_kept() -> None:
    snapshot: Snapshot = {"0.keys": torch.zeros(1, 40, 1)}
    kept = Prefixes(100, can_crop=True)
    kept.add([1] * 40, lambda: snapshot)

    assert kept.nbytes == 0
    assert kept.find([1] * 41) is None
