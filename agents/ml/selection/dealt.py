"""Whose data lie on the disk: what was asked, of which source, and what was dealt.

The note lies in the vault, which no model's code can reach, and is written last: data without one
are half dealt. Importable without torch.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.ml.selection.answers import ANSWERS

DEALT = "dealt.json"
FACTS = "facts.json"
_DATA = (FACTS, "inputs.npy", "test_inputs.npy", "texts.json", "test_texts.json", "corpus.txt")
_PLACES = ("data", "vault")


class Dealt(BaseModel):
    """The note.

    Attributes:
        asked: a digest of what decides what is dealt: the request and its source.
        content: a digest of what was dealt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: str
    content: str

    @classmethod
    def read(cls, vault: Path) -> "Dealt | None":
        """The note; None where nothing, or only a part, was dealt, or before there were notes."""
        try:
            return cls.model_validate_json((vault / DEALT).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def digest_of_request(payload: Mapping[str, Any], source: Iterable[Path]) -> str:
    """A digest of `payload`, wherever its data go, and of the files that it is dealt from.

    Of a folder it is names, sizes and times of what it holds: there may be a million images.
    """
    asked = {key: value for key, value in payload.items() if key not in _PLACES}
    files = [_told(path) for path in source]
    return sha256(json.dumps([asked, files], sort_keys=True).encode()).hexdigest()


def digest_of_content(data: Path, vault: Path) -> str:
    """A digest of everything that was dealt, the answers too."""
    files = [*(data / name for name in _DATA), vault / ANSWERS]
    told = {path.name: _sha256(path) for path in files if path.is_file()}
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def clear(data: Path, vault: Path) -> None:
    """Remove what was dealt before, the note first."""
    for path in (vault / DEALT, *(data / name for name in _DATA), vault / ANSWERS):
        path.unlink(missing_ok=True)


def _told(path: Path) -> list[Any]:
    if path.is_file():
        return [str(path), _sha256(path)]
    below = sorted(path.rglob("*")) if path.is_dir() else []
    held = [(str(each), each.stat()) for each in below if each.is_file()]
    return [str(path), [[name, stat.st_size, stat.st_mtime_ns] for name, stat in held]]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
