"""Answers that passed, kept in the workspace by all that decides them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.llm.engines import EngineConfig
from agents.research.errors import WorkRefusedError
from agents.research.workspace.files import WorkspaceFiles
from agents.research.writing.settings import WritingProps
from agents.research.writing.task import Task
from messaging.process.logs import get_logger

FOLDER = ".guildbus/answers"  # with the guild's own state, which jobs do not see

log = get_logger()


class KeptAnswer(BaseModel):
    """An answer that passed its checks.

    Attributes:
        wrote: its form.
        model: which language model gave it.
        attempts: how often that was asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wrote: str
    answer: str
    model: str
    attempts: int


class KeptAnswers:
    """A file for each question. What is damaged counts as not there, and is replaced."""

    def __init__(self, files: WorkspaceFiles) -> None:
        self._files = files.with_the_guilds_own()

    def get(self, key: str) -> KeptAnswer | None:
        path = _path(key)
        try:
            return KeptAnswer.model_validate_json(self._files.read(path))
        except WorkRefusedError:
            return None
        except ValidationError as error:
            log.warning("writing.kept_answer_damaged", path=path, problem=str(error)[:200])
            return None

    def put(self, key: str, answer: KeptAnswer) -> None:
        """Keep it where there is room; without, it is asked for again."""
        try:
            self._files.write(_path(key), answer.model_dump_json(indent=2))
        except WorkRefusedError as error:
            log.warning("writing.answer_not_kept", problem=str(error))


def key_of(llm: EngineConfig, properties: WritingProps, task: Task[Any]) -> str:
    """A hash of all that decides an answer: the question, the model and how it is asked.

    Of a model on this machine its files count by size and time of change. What a server has behind
    a name is not known.
    """
    decides = [
        llm.key,
        _files_of(llm),
        properties.model_dump(mode="json", exclude={"llm", "attempts", "keeps_answers"}),
        [(form.wrote, form.prompt, form.structure) for form in task.forms],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def _files_of(llm: EngineConfig) -> Sequence[tuple[str, int, int]]:
    path = Path(llm.model).expanduser()
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _path(key: str) -> str:
    return f"{FOLDER}/{key}.json"
