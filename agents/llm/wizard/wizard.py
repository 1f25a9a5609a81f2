"""The questions of `guildbus init`, from a model to a spec on the disk."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from agents.llm.models import MODELS, ModelUnavailableError, fetch_model
from agents.llm.wizard.found import AnswerError, Found
from agents.llm.wizard.lookup import look_up
from agents.llm.wizard.machine import answers_that_fit, check_installed, devices_of
from agents.llm.wizard.questions import Questions
from agents.llm.wizard.servers import KeyNeededError, SeveralModelsError
from agents.llm.wizard.spec_text import spec_text
from agents.ml.atomic_files import atomic_file
from guild.errors import MissingExtraError

DEFAULT_OUTPUT = "chat.yaml"
_KINDS = {
    "2": ("a GGUF file", "Path of the GGUF file"),
    "3": ("a folder with a saved model", "Path of the folder"),
    "4": ("a model on the Hugging Face hub", "Its id, such as microsoft/phi-2"),
    "5": ("a server with OpenAI's API", "Its URL, such as http://127.0.0.1:11434/v1"),
}


@dataclass(frozen=True)
class Flags:
    """What was said on the command line; None is asked, or has a default."""

    model: str | None = None
    backend: str | None = None
    device: str | None = None
    served_model: str | None = None
    key_variable: str | None = None
    output: str | None = None
    is_forced: bool = False
    is_agreed: bool = False


@dataclass(frozen=True)
class Choice:
    """A model that can run here, and how."""

    found: Found
    backend: str
    device: str
    max_active: int


class Wizard:
    """Asks for what the flags do not say. Nothing is written before the last question."""

    def __init__(self, flags: Flags, questions: Questions) -> None:
        self._flags = flags
        self._questions = questions
        self._note = questions.output.note

    def choose(self) -> Choice:
        """The model, backend and device.

        Raises:
            AnswerError: without a terminal, the flags name nothing that can run here.
            MissingExtraError: likewise, a package is missing.
            UsageError: likewise, a flag is missing.
        """
        while True:
            try:
                return self._choice()
            except (AnswerError, MissingExtraError) as error:
                if not self._questions.is_asking:
                    raise
                self._note(str(error))
                self._flags = replace(
                    self._flags, model=None, backend=None, served_model=None, key_variable=None
                )

    def write(self, choice: Choice) -> Path:
        """The path of the spec that was written.

        Raises:
            AnswerError: without a terminal, it cannot be written where the flags say.
        """
        given = self._flags.output
        path, is_replacing = self._questions.answer(
            "--output", given, "Write the spec to", DEFAULT_OUTPUT, self._place
        )
        text = spec_text(choice.found, choice.backend, choice.device, choice.max_active, path)
        try:
            with atomic_file(
                path, is_private=False, is_synced=False, is_replacing=is_replacing
            ) as file:
                file.write(text.encode())
        except FileExistsError as error:
            raise AnswerError(f"{path} has just been written by another process") from error
        except OSError as error:
            raise AnswerError(f"{path} cannot be written: {error.strerror or error}") from error
        return path

    def _choice(self) -> Choice:
        found = self._fetched(self._found())
        backend = self._backend(found)
        device = self._device(backend)
        return Choice(found, backend, device, answers_that_fit(found, backend, device))

    def _found(self) -> Found:
        text = self._flags.model
        if text is None:
            if self._questions.is_asking:
                self._show_kinds()
            text = self._questions.answer(
                "--model", None, "A number, or at once a name, path, id or URL", self._default, str
            )
            if text in _KINDS:
                text = self._questions.line(_KINDS[text][1])
            text = next(iter(MODELS)) if text == "1" else text
            if text.isdigit() and not Path(text).exists():
                raise AnswerError(f"no number of the list is {text}")
        return self._looked_up(text, self._flags.served_model, self._flags.key_variable)

    @property
    def _default(self) -> str | None:
        return "1" if self._questions.is_asking or self._flags.is_agreed else None

    def _show_kinds(self) -> None:
        self._note("Which model?")
        self._note(f"  1  {next(iter(MODELS.values())).summary}")
        for number, (kind, _) in _KINDS.items():
            self._note(f"  {number}  {kind}")

    def _looked_up(self, text: str, served_model: str | None, variable: str | None) -> Found:
        try:
            return look_up(text, served_model=served_model, key_variable=variable)
        except KeyNeededError as error:
            if not self._questions.is_asking or variable is not None:
                raise
            self._note(str(error))
            variable = self._questions.line("The environment variable with the key")
        except SeveralModelsError as error:
            if not self._questions.is_asking:
                raise
            for number, name in enumerate(error.names, 1):
                self._note(f"  {number}  {name}")
            names = {str(number): name for number, name in enumerate(error.names, 1)}
            typed = self._questions.line("Which of the server's models, a number or a name")
            served_model = names.get(typed, typed)
        return self._looked_up(text, served_model, variable or None)

    def _fetched(self, found: Found) -> Found:
        if not found.to_fetch:
            return found
        question = f"{found.to_fetch} is not here yet. Fetch it now, through pip?"
        if not self._flags.is_agreed:
            if not self._questions.is_asking:
                return found
            self._note(found.about)
            if not self._questions.is_agreed(question, default=True):
                return found
        try:
            fetch_model(found.to_fetch, report=self._note)
        except ModelUnavailableError as error:
            raise AnswerError(str(error)) from error
        return look_up(found.to_fetch)

    def _backend(self, found: Found) -> str:
        def read(text: str) -> str:
            if text not in found.backends:
                raise AnswerError(f"{found.model} runs on {' or '.join(found.backends)}")
            return text

        given = self._flags.backend
        if len(found.backends) == 1 and given is None:
            backend = found.backends[0]
        else:
            prompt = f"Backend ({', '.join(found.backends)})"
            backend = self._questions.answer("--backend", given, prompt, found.backends[0], read)
        check_installed(backend)
        return backend

    def _device(self, backend: str) -> str:
        devices = devices_of(backend)

        def read(text: str) -> str:
            if text not in devices:
                here = (
                    f"the devices here are {', '.join(devices)}" if devices else "a server has it"
                )
                raise AnswerError(f"{text} is no device for the {backend} backend: {here}")
            return text

        if not devices and self._flags.device is None:
            return "auto"
        prompt = f"Device ({', '.join(devices)})"
        return self._questions.answer("--device", self._flags.device, prompt, "auto", read)

    def _place(self, text: str) -> tuple[Path, bool]:
        """Where to write, and whether something is there that may go."""
        path = Path(text).expanduser()
        if path.suffix not in (".yaml", ".yml"):
            raise AnswerError(f"{text!r} is no name for a spec: end it in .yaml")
        if not path.parent.is_dir():
            raise AnswerError(f"there is no folder {path.parent}")
        if not os.path.lexists(path):
            return path, False
        if path.is_dir():
            raise AnswerError(f"{path} is a folder")
        if self._flags.is_forced:
            return path, True
        if self._questions.is_asking and self._questions.is_agreed(
            f"{path} is there already. Overwrite it?", default=False
        ):
            return path, True
        raise AnswerError(f"{path} is there already: give another name, or --force")
