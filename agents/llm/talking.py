"""A conversation on the command line, with a model of the llama.cpp backend."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.llm.chat import ChatMessage, fit_window, render_chat
from agents.llm.chat.errors import ChatTemplateError
from agents.llm.engines import EngineConfig, Finished, Generation, GenerationRequest, LLMError
from agents.llm.engines.llamacpp_engine import create
from agents.llm.engines.llamacpp_model import LlamaModel
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.models import MODELS, fetch_model, find_model
from guild.cli.output import printable

_FAILED, _INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Talk:
    """What was asked for on the command line."""

    model: str = "smollm2"
    system: str = ""
    temperature: float = 0.7
    seed: int | None = None
    max_new_tokens: int = 512


def run_talk(talk: Talk) -> int:
    """Talk until the input ends; the exit status."""
    try:
        if not _is_here(talk.model):
            return _FAILED
        return asyncio.run(_talk(talk))
    except LLMError as error:
        _note(str(error))
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read the answers has seen enough
        sys.stdout = None
        return 0


def _is_here(model: str) -> bool:
    """Offer to fetch a model that can be, and is not here."""
    if model not in MODELS or Path(model).is_file() or find_model(model) is not None:
        return True
    if not _is_terminal():
        _note(f"{model} has not been fetched yet; run `guildbus models get {model}`")
        return False
    _note(MODELS[model].summary)
    if input("Fetch it now, through pip? [Y/n] ").strip().lower() not in ("", "y", "yes"):
        return False
    fetch_model(model, report=_note)
    return True


async def _talk(talk: Talk) -> int:
    engine = create(EngineConfig(model=talk.model, backend="llamacpp", max_active=1))
    assert isinstance(engine, LocalEngine)
    failed = False
    try:
        await engine.load()
        model = engine._model()  # noqa: SLF001  its tokenizer
        assert isinstance(model, LlamaModel)
        messages = [ChatMessage(role="system", content=talk.system)] if talk.system else []
        async for line in _lines():
            asked = [*messages, ChatMessage(role="user", content=line)]
            try:
                asked, answer = await _answer(engine, model, talk, asked)
            except (LLMError, ChatTemplateError) as error:
                _note(str(error))  # the question is forgotten, and the talk goes on
                failed = True
                continue
            messages = [*asked, ChatMessage(role="assistant", content=answer)]
    finally:
        await engine.close()
    return _FAILED if failed and not _is_terminal() else 0


async def _answer(
    engine: LocalEngine, model: LlamaModel, talk: Talk, messages: list[ChatMessage]
) -> tuple[list[ChatMessage], str]:
    """The conversation as far as it fits, and what the model says, shown as it comes."""
    new_tokens = min(talk.max_new_tokens, model.context_window // 2)

    def count(some: Any) -> int:
        prompt = render_chat(some, model.tokenizer)
        return len(prompt.ids) if prompt.ids is not None else len(model.encode(prompt.text))

    fitted = await asyncio.to_thread(
        fit_window,
        messages,
        count,
        context_window=model.context_window,
        new_tokens=new_tokens,
        policy="drop_oldest",
    )
    kept = list(fitted.messages)
    prompt = await asyncio.to_thread(render_chat, kept, model.tokenizer)
    generation = await engine.submit(
        GenerationRequest(
            prompt=prompt.text if prompt.ids is None else None,
            prompt_ids=prompt.ids,
            max_new_tokens=new_tokens,
            temperature=talk.temperature,
            seed=talk.seed,
            stop=prompt.stop,
        )
    )
    return kept, await _shown(generation)


async def _shown(generation: Generation) -> str:
    is_terminal = _is_terminal()
    with _interrupting(generation):
        async for event in generation:
            if isinstance(event, Finished):
                break
            _write(printable(event.text) if is_terminal else _on_one_line(event.text))
    _write("\n")
    return (await generation.result()).text


@contextmanager
def _interrupting(generation: Generation) -> Iterator[None]:
    """In a terminal Ctrl-C ends the answer, and not the program."""
    if not _is_terminal():
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, generation.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


async def _lines() -> AsyncIterator[str]:
    is_terminal = _is_terminal()
    while True:
        try:
            line = input("> ") if is_terminal else sys.stdin.readline()  # noqa: ASYNC250  nothing else runs
        except EOFError:
            _write("\n")
            return
        if not is_terminal and not line:
            return
        if line.strip():
            yield line.strip()


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _on_one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _note(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")
