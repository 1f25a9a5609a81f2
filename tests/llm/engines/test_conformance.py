"""What every engine promises, asked of each of them."""

import asyncio
import threading

import pytest

from agents.llm.engines import Finished, FinishReason, GenerationRequest, TextDelta
from agents.llm.engines.errors import (
    ContextOverflowError,
    EngineBusyError,
    EngineClosedError,
    InvalidRequestError,
    LLMInferenceError,
    LLMInitializationError,
)
from agents.llm.engines.generation import Event, Generation
from agents.llm.engines.local_engine import LocalEngine
from tests.llm.engines.conftest import MakeEngine
from tests.llm.engines.gate import Gate

PROMPT = "The benefits"


def asking(max_new_tokens: int | None = 20, **settings: object) -> GenerationRequest:
    settings = {"prompt": PROMPT, "do_sample": False, **settings}
    return GenerationRequest(max_new_tokens=max_new_tokens, **settings)


async def events_of(generation: Generation) -> list[Event]:
    return [event async for event in generation]


async def until_step(gate: Gate, steps: int) -> None:
    while gate.steps < steps:  # noqa: ASYNC110  the steps happen in the engine's thread
        await asyncio.sleep(0)


async def test_an_engine_loads_nothing_before_it_is_used(engine: LocalEngine) -> None:
    assert not engine.stats.is_loaded
    with pytest.raises(LLMInitializationError, match="not loaded"):
        _ = engine.capabilities

    await engine.load()

    assert engine.stats.is_loaded
    assert engine.capabilities.context_window == 128


async def test_the_pieces_make_up_the_result(engine: LocalEngine) -> None:
    generation = await engine.submit(asking())
    *deltas, last = await events_of(generation)

    assert isinstance(last, Finished)
    assert last == await generation.result()
    assert last.reason is FinishReason.LENGTH
    assert len(last.token_ids) == 20
    assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas)
    assert "".join(delta.text for delta in deltas) == last.text
    shown = tuple(token for delta in deltas for token in delta.token_ids)
    assert shown == last.token_ids[: len(shown)]
    assert engine.stats.generated_tokens == 20
    assert engine.stats.prompt_tokens == last.prompt_tokens


async def test_a_finished_generation_ends_its_iteration_for_good(engine: LocalEngine) -> None:
    generation = await engine.submit(asking(2))
    await events_of(generation)

    assert await events_of(generation) == []


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 19])
async def test_cancelled_at_any_point_it_ends_once_and_frees_the_model(
    engine: LocalEngine, gate: Gate, steps: int
) -> None:
    gate.close(after=steps)
    generation = await engine.submit(asking())
    await until_step(gate, steps)

    generation.cancel()
    generation.cancel()
    events = await events_of(generation)

    assert [e.reason for e in events if isinstance(e, Finished)] == [FinishReason.CANCELLED]
    assert len(events[-1].token_ids) == steps
    assert engine.stats.active == 0
    gate.open()
    await engine.close()
    assert gate.steps == steps


async def test_cancelling_while_it_runs_costs_at_most_two_more_steps(
    engine: LocalEngine, gate: Gate
) -> None:
    generation = await engine.submit(asking(100))
    await anext(aiter(generation))

    at_cancel = gate.steps
    generation.cancel()
    at_return = gate.steps
    await generation.result()

    assert gate.steps <= at_return + 2
    assert at_cancel <= at_return


async def test_cancelling_after_the_end_changes_nothing(engine: LocalEngine) -> None:
    generation = await engine.submit(asking(3))
    before = await generation.result()

    generation.cancel()

    assert await generation.result() == before
    assert [type(e) for e in await events_of(generation)].count(Finished) == 1


async def test_a_waiting_request_is_cancelled_before_it_starts(
    make_engine: MakeEngine, gate: Gate
) -> None:
    engine = make_engine(max_active=1)
    gate.close()
    running, waiting = await engine.submit(asking(3)), await engine.submit(asking(3))

    waiting.cancel()
    cancelled = await waiting.result()
    gate.open()

    assert cancelled.reason is FinishReason.CANCELLED
    assert cancelled.token_ids == ()
    assert (await running.result()).reason is FinishReason.LENGTH


async def test_a_deadline_ends_a_generation_with_what_there_is(
    engine: LocalEngine, gate: Gate
) -> None:
    gate.close(after=4)
    generation = await engine.submit(asking(deadline_s=0.2))

    finished = await generation.result()

    assert finished.reason is FinishReason.DEADLINE
    assert len(finished.token_ids) <= 4


async def test_a_deadline_also_counts_while_waiting(make_engine: MakeEngine, gate: Gate) -> None:
    engine = make_engine(max_active=1)
    gate.close()
    running = await engine.submit(asking(3))
    waiting = await engine.submit(asking(3, deadline_s=0.01))

    assert (await waiting.result()).reason is FinishReason.DEADLINE
    running.cancel()


async def test_closing_ends_what_runs_and_what_waits_with_one_error_each(
    make_engine: MakeEngine, gate: Gate
) -> None:
    engine = make_engine(max_active=1)
    gate.close(after=2)
    generations = [await engine.submit(asking()) for _ in range(3)]

    await engine.close()

    for generation in generations:
        *_, last = await events_of(generation)
        assert isinstance(last.error, EngineClosedError)
        with pytest.raises(EngineClosedError):
            await generation.result()
    with pytest.raises(EngineClosedError):
        await engine.submit(asking())


async def test_an_engine_that_was_never_used_can_be_closed(engine: LocalEngine) -> None:
    await engine.close()
    await engine.close()


async def test_a_handle_that_nobody_holds_any_more_stops_its_generation(
    make_engine: MakeEngine, gate: Gate
) -> None:
    engine = make_engine(max_active=1)
    gate.close(after=1)
    async for _ in await engine.submit(asking(100)):
        break  # the loop held the only reference

    waiting = await engine.submit(asking(1))
    gate.close(after=3)  # a step on its way, and the second request; not the rest of the first

    assert (await waiting.result()).reason is FinishReason.LENGTH


async def test_leaving_the_block_stops_the_generation(engine: LocalEngine, gate: Gate) -> None:
    gate.close(after=1)
    async with await engine.submit(asking(100)) as generation:
        await anext(aiter(generation))

    assert (await generation.result()).reason is FinishReason.CANCELLED


async def test_cancelling_who_waits_for_the_result_stops_the_generation(
    engine: LocalEngine, gate: Gate
) -> None:
    gate.close(after=1)
    generation = await engine.submit(asking(100))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(generation.result(), 0.01)

    assert (await generation.result()).reason is FinishReason.CANCELLED


async def test_a_slow_reader_loses_nothing(engine: LocalEngine) -> None:
    generation = await engine.submit(asking())
    finished = await generation.result()

    events = await events_of(generation)

    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == finished.text
    assert events[-1] == finished


async def test_a_reader_whose_loop_is_gone_is_noticed_and_harms_nobody(
    make_engine: MakeEngine, gate: Gate
) -> None:
    engine = make_engine(max_active=1)
    gate.close(after=1)
    kept = []

    async def submit_and_leave() -> None:
        kept.append(await engine.submit(asking(100)))

    thread = threading.Thread(target=asyncio.run, args=[submit_and_leave()])
    thread.start()
    await asyncio.to_thread(thread.join)
    gate.open()

    other = await engine.submit(asking(5))
    assert (await other.result()).reason is FinishReason.LENGTH
    assert engine.stats.generated_tokens < 50


async def test_many_at_once_all_end_and_say_what_one_alone_says(make_engine: MakeEngine) -> None:
    engine = make_engine(max_active=4)
    alone = await (await engine.submit(asking())).result()

    generations = await asyncio.gather(*(engine.submit(asking()) for _ in range(12)))
    together = await asyncio.gather(*(generation.result() for generation in generations))

    assert all(finished == alone for finished in together)


async def test_a_full_queue_says_busy_and_recovers(make_engine: MakeEngine, gate: Gate) -> None:
    engine = make_engine(max_active=1, max_queue=2)
    gate.close()
    outcomes = [await _submitted(engine, asking(2)) for _ in range(5)]

    gate.open()

    assert [type(o) for o in outcomes] == [Generation] * 3 + [EngineBusyError] * 2
    for generation in outcomes[:3]:
        assert (await generation.result()).reason is FinishReason.LENGTH
    assert (await (await engine.submit(asking(2))).result()).reason is FinishReason.LENGTH


async def test_what_cannot_fit_is_refused_with_the_excess(engine: LocalEngine) -> None:
    prompt_tokens = (await (await engine.submit(asking(1))).result()).prompt_tokens

    with pytest.raises(ContextOverflowError) as refused:
        await engine.submit(asking(128))

    assert refused.value.excess_tokens == prompt_tokens
    assert str(prompt_tokens) in str(refused.value)
    with pytest.raises(ContextOverflowError):
        await engine.submit(asking(None, prompt=PROMPT * 200))


async def test_without_a_limit_the_answer_takes_what_the_window_leaves(
    engine: LocalEngine,
) -> None:
    finished = await (await engine.submit(asking(None))).result()

    assert finished.reason is FinishReason.LENGTH
    assert finished.prompt_tokens + len(finished.token_ids) == 128


async def test_more_tokens_than_the_operator_allows_are_refused(make_engine: MakeEngine) -> None:
    engine = make_engine(max_new_tokens_limit=10)

    with pytest.raises(InvalidRequestError, match="max_new_tokens=11"):
        await engine.submit(asking(11))

    assert len((await (await engine.submit(asking(None))).result()).token_ids) == 10


async def test_a_stop_string_ends_the_answer_before_itself(engine: LocalEngine) -> None:
    whole = (await (await engine.submit(asking())).result()).text
    stop = whole[5:8]

    generation = await engine.submit(asking(stop=(stop,)))
    *deltas, last = await events_of(generation)

    assert last.reason is FinishReason.STOP
    assert last.text == whole[: whole.index(stop)]
    assert "".join(delta.text for delta in deltas) == last.text


async def test_an_empty_prompt_is_refused_or_answered_but_never_lost(engine: LocalEngine) -> None:
    try:
        generation = await engine.submit(asking(3, prompt=""))
    except InvalidRequestError:
        return
    assert (await generation.result()).reason is FinishReason.LENGTH


async def test_token_ids_are_taken_as_they_are(engine: LocalEngine) -> None:
    by_text = await (await engine.submit(asking())).result()
    assert engine._worker is not None
    ids = tuple(engine._worker.loaded.result().encode(PROMPT))

    by_ids = await (await engine.submit(asking(prompt=None, prompt_ids=ids))).result()

    assert by_ids == by_text
    with pytest.raises(InvalidRequestError, match="no token"):
        await engine.submit(asking(prompt=None, prompt_ids=(10**12,)))


async def test_however_many_ask_at_once_it_is_loaded_once(engine: LocalEngine) -> None:
    opened = []
    open_model = engine._open_model
    engine._open_model = lambda: opened.append(1) or open_model()

    await asyncio.gather(*(engine.load() for _ in range(10)), *(_ask(engine) for _ in range(5)))

    assert opened == [1]


async def test_a_waiter_who_gives_up_does_not_disturb_the_loading(engine: LocalEngine) -> None:
    impatient, patient = asyncio.create_task(engine.load()), asyncio.create_task(engine.load())
    await asyncio.sleep(0)

    impatient.cancel()
    await patient

    assert engine.stats.is_loaded


async def test_a_failed_loading_is_typed_and_tried_again_on_the_next_use(
    engine: LocalEngine,
) -> None:
    open_model = engine._open_model

    def fail() -> None:
        raise OSError("the disk is gone")

    engine._open_model = fail
    outcomes = await asyncio.gather(engine.load(), engine.load(), return_exceptions=True)
    assert all(isinstance(outcome, LLMInitializationError) for outcome in outcomes)
    assert "the disk is gone" in str(outcomes[0])

    engine._open_model = open_model
    assert await _ask(engine)


async def test_a_step_that_fails_ends_its_requests_and_the_engine_lives(
    engine: LocalEngine, gate: Gate
) -> None:
    gate.close(after=2)
    generation = await engine.submit(asking())
    assert engine._worker is not None
    model = engine._worker.loaded.result()
    step = model.step

    def explode(states: object) -> list[int]:
        raise RuntimeError("kernel fault")

    model.step = explode
    gate.open()
    with pytest.raises(LLMInferenceError, match="kernel fault"):
        await generation.result()
    assert [type(e) for e in await events_of(generation)].count(Finished) == 1

    model.step = step
    assert await _ask(engine)


async def test_a_model_that_breaks_ends_all_requests_and_is_replaced(
    engine: LocalEngine, gate: Gate
) -> None:
    gate.close(after=2)
    generations = [await engine.submit(asking()) for _ in range(3)]
    assert engine._worker is not None
    model = engine._worker.loaded.result()

    def explode(state: object) -> None:
        raise RuntimeError("lost its memory")

    model.end = explode
    gate.open()
    for generation in generations:
        events = await events_of(generation)
        assert [type(event) for event in events].count(Finished) == 1

    await asyncio.wrap_future(engine._worker.ended)
    assert await _ask(engine)


async def test_the_text_face_yields_text_and_raises_errors(engine: LocalEngine, gate: Gate) -> None:
    generation = await engine.submit(asking())
    assert "".join([text async for text in generation.text()]) == (await generation.result()).text

    gate.close(after=1)
    generation = await engine.submit(asking())
    await engine.close()
    with pytest.raises(EngineClosedError):
        _ = [text async for text in generation.text()]


async def test_the_loop_goes_on_while_the_model_works(engine: LocalEngine) -> None:
    beats, stop = 0, asyncio.Event()

    async def heartbeat() -> None:
        nonlocal beats
        while not stop.is_set():
            beats += 1
            await asyncio.sleep(0)

    heart = asyncio.create_task(heartbeat())
    finished = await (await engine.submit(asking(100))).result()
    stop.set()
    await heart

    assert len(finished.token_ids) == 100
    assert beats > 1


async def _submitted(
    engine: LocalEngine, request: GenerationRequest
) -> Generation | EngineBusyError:
    try:
        return await engine.submit(request)
    except EngineBusyError as busy:
        return busy


async def _ask(engine: LocalEngine) -> bool:
    finished = await (await engine.submit(asking(2))).result()
    return finished.reason is FinishReason.LENGTH
