"""What every engine promises, asked of the openai backend at our own endpoint.

Left out is what looks into an engine of this process, and what only such an engine can do:
`test_openai.py` shows how that is refused.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agents.llm.endpoint import create_app, serving
from agents.llm.engines import Engine, EngineConfig, ModelRegistry
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.openai_engine import OpenAIEngine
from tests.llm.engines.conftest import _open
from tests.llm.engines.gate import Gate, GatedModel
from tests.llm.engines.test_conformance import (
    test_a_deadline_also_counts_while_waiting,
    test_a_deadline_ends_a_generation_with_what_there_is,
    test_a_finished_generation_ends_its_iteration_for_good,
    test_a_slow_reader_loses_nothing,
    test_a_stop_string_ends_the_answer_before_itself,
    test_a_waiter_who_gives_up_does_not_disturb_the_loading,
    test_a_waiting_request_is_cancelled_before_it_starts,
    test_an_engine_loads_nothing_before_it_is_used,
    test_an_engine_that_was_never_used_can_be_closed,
    test_cancelling_after_the_end_changes_nothing,
    test_cancelling_who_waits_for_the_result_stops_the_generation,
    test_closing_ends_what_runs_and_what_waits_with_one_error_each,
    test_leaving_the_block_stops_the_generation,
    test_more_tokens_than_the_operator_allows_are_refused,
    test_the_loop_goes_on_while_the_model_works,
    test_the_pieces_make_up_the_result,
)

__all__ = [
    "test_a_deadline_also_counts_while_waiting",
    "test_a_deadline_ends_a_generation_with_what_there_is",
    "test_a_finished_generation_ends_its_iteration_for_good",
    "test_a_slow_reader_loses_nothing",
    "test_a_stop_string_ends_the_answer_before_itself",
    "test_a_waiter_who_gives_up_does_not_disturb_the_loading",
    "test_a_waiting_request_is_cancelled_before_it_starts",
    "test_an_engine_loads_nothing_before_it_is_used",
    "test_an_engine_that_was_never_used_can_be_closed",
    "test_cancelling_after_the_end_changes_nothing",
    "test_cancelling_who_waits_for_the_result_stops_the_generation",
    "test_closing_ends_what_runs_and_what_waits_with_one_error_each",
    "test_leaving_the_block_stops_the_generation",
    "test_more_tokens_than_the_operator_allows_are_refused",
    "test_the_loop_goes_on_while_the_model_works",
    "test_the_pieces_make_up_the_result",
]


@pytest.fixture(params=["scripted", "transformers"])
def backend(request: pytest.FixtureRequest) -> str:
    """What runs behind the server."""
    return str(request.param)


@pytest.fixture
async def make_engine(backend: str, tiny_phi: Path, gate: Gate) -> AsyncIterator[Any]:
    """Engines that ask a server whose own engine of `backend` stands behind `gate`."""
    before = {*threading.enumerate()}
    local = EngineConfig(model=str(tiny_phi), device="cpu", backend=backend, context_window=128)

    def create(config: EngineConfig) -> Engine:
        return LocalEngine(config, lambda: GatedModel(_open(config), gate))

    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(ModelRegistry(create=create))
        url = await stack.enter_async_context(serving(create_app({"served": local}, registry)))

        def make(**settings: Any) -> OpenAIEngine:
            options = {"base_url": url, "has_token_ids": True}
            config = EngineConfig(model="served", backend="openai", options=options, **settings)
            engine = OpenAIEngine(config)
            stack.push_async_callback(engine.close)
            return engine

        yield make
        gate.open()
    assert not {t for t in threading.enumerate() if t.name.startswith("engine-")} - before


@pytest.fixture
def engine(make_engine: Any) -> OpenAIEngine:
    engine: OpenAIEngine = make_engine()
    return engine
