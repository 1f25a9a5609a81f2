"""Answers as iterators: left early, failing, in several threads, after the end."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agents.llm.engines import LLMError
from agents.llm.engines.errors import (
    ContextOverflowError,
    EngineClosedError,
    InvalidRequestError,
    LLMInferenceError,
    ModelDamagedError,
)
from agents.llm.frontend import LocalInference, TorchInference

PROMPT = "To be, or not to be"


@pytest.fixture(scope="module")
def frontend(tiny_phi: Path) -> Iterator[TorchInference]:
    with TorchInference(tiny_phi, device="cpu", max_active=4) as frontend:
        yield frontend


def free(frontend: TorchInference) -> bool:
    """Whether no answer is being written, once the model has taken another step."""
    frontend.inference(PROMPT, max_tokens=1).result()
    return bool(frontend._running.engine.stats.active == 0)


def test_nothing_is_computed_before_the_first_piece_is_asked_for(frontend: TorchInference) -> None:
    before = frontend._running.engine.stats.prompt_tokens

    frontend.inference(PROMPT)

    assert frontend._running.engine.stats.prompt_tokens == before


def test_a_closed_iterator_frees_its_slot(frontend: TorchInference) -> None:
    inference = frontend.inference(PROMPT, max_tokens=100)
    next(inference)

    inference.close()

    assert free(frontend)
    assert list(inference) == []
    with pytest.raises(LLMInferenceError, match="has not ended"):
        _ = inference.finished


def test_leaving_the_block_and_dropping_the_iterator_free_the_slot(
    frontend: TorchInference,
) -> None:
    with frontend.inference(PROMPT, max_tokens=100) as inference:
        next(inference)
    assert free(frontend)

    next(frontend.inference(PROMPT, max_tokens=100))

    assert free(frontend)


def test_what_goes_wrong_reaches_whoever_iterates(frontend: TorchInference) -> None:
    with pytest.raises(ContextOverflowError):
        list(frontend.inference("word " * 200))
    with pytest.raises(InvalidRequestError, match="no token"):
        list(frontend.inference([10**6]))
    with pytest.raises(InvalidRequestError, match="prompt_ids"):
        list(frontend.inference([]))
    with pytest.raises(InvalidRequestError, match="messages"):
        list(frontend.inference([{"role": "nobody", "content": "x"}]))
    assert list(frontend.inference(PROMPT, max_tokens=3))


def test_a_structure_behind_a_prompt_that_fills_the_window_is_refused_for_that(
    frontend: TorchInference,
) -> None:
    with pytest.raises(ContextOverflowError, match="context window of 128"):
        frontend.inference("word " * 200, output_type=bool).result()


def test_half_a_character_is_refused_with_a_structure_and_without(
    frontend: TorchInference,
) -> None:
    for structure in ({}, {"output_type": bool}):
        with pytest.raises(InvalidRequestError, match="lone surrogate"):
            frontend.inference("a\ud800", **structure).result()


def test_stop_strings_do_not_cut_a_structure(tiny_phi: Path, frontend: TorchInference) -> None:
    with pytest.raises(InvalidRequestError, match="stop: "):
        frontend.inference(PROMPT, output_type=bool, stop=("true",))
    with LocalInference(
        tiny_phi, device="cpu", inference_kwargs={"stop": ("true", "false"), "max_tokens": 9}
    ) as local:
        assert local.inference(PROMPT, output_type=bool).result() in {True, False}
        with pytest.raises(InvalidRequestError, match="stop: "):
            local.inference(PROMPT, output_type=bool, stop=("true",))


def test_an_error_in_the_middle_ends_the_iterator_with_it(
    frontend: TorchInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        is_finished = False

        def fill(self, words: Any) -> None:
            raise RuntimeError("the constraint broke")

        def accept(self, token_id: int) -> None: ...

        def forced(self) -> tuple[int, ...]:
            return ()

    async def constraint(*_: Any) -> Broken:
        return Broken()

    monkeypatch.setattr(frontend, "_constraint", constraint)
    inference = frontend.inference(PROMPT)

    with pytest.raises(LLMError, match="the constraint broke"):
        list(inference)

    assert list(inference) == []


def test_several_threads_iterate_at_once_and_each_gets_its_own(frontend: TorchInference) -> None:
    alone = [frontend.inference(PROMPT, seed=n, max_tokens=20).result() for n in range(6)]
    together = threading.Barrier(6)

    def iterate(seed: int) -> str:
        inference = frontend.inference(PROMPT, seed=seed, max_tokens=20)
        first = next(inference)
        together.wait(timeout=30) if seed < 4 else None
        return first + "".join(inference)

    together = threading.Barrier(4)  # as many as are decoded at the same time
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(iterate, range(6))) == alone


def test_closing_the_frontend_ends_what_is_iterated_with_an_error(tiny_phi: Path) -> None:
    frontend = TorchInference(tiny_phi, device="cpu")
    inference = frontend.inference(PROMPT, max_tokens=100)
    next(inference)
    frontend.close()

    with pytest.raises(EngineClosedError):
        list(inference)
    with pytest.raises(LLMInferenceError, match="is closed"):
        frontend.inference(PROMPT)
    frontend.close()  # twice does no harm


def test_a_model_that_cannot_be_loaded_leaves_no_thread(tmp_path: Path) -> None:
    before = {*threading.enumerate()}

    with pytest.raises(ModelDamagedError):
        TorchInference(tmp_path)

    left = {thread.name for thread in {*threading.enumerate()} - before}
    assert not {name for name in left if name.startswith(("llm-", "engine-"))}
