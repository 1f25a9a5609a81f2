"""Tokenizers by name, on disk: known again after a restart and to other processes."""

import json
import os
import re
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from agents.ml.atomic_files import write_text_atomically
from agents.ml.errors import TokenizerError
from agents.ml.plain_files import locked, read_plain
from agents.ml.reporting import Report
from agents.ml.tokenizer.config import TokenizerConfig
from agents.ml.tokenizer.files import (
    TOKENIZER_FILE,
    TokenizerInfo,
    describe,
    load_tokenizer,
    save_tokenizer,
)
from agents.ml.tokenizer.training import train_tokenizer

MANIFEST_FILE = "tokenizers.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class TokenizerRegistry:
    """A folder with a manifest; safe with several processes at once.

    Args:
        folder: where the manifest is, and the tokenizers that are given no path of their own.
        root: relative paths are below it; the current directory unless given.
    """

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.root = (root or Path()).absolute()
        self._loaded: dict[str, tuple[tuple[Path, int, int], Tokenizer]] = {}

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._manifest())

    def info(self, name: str) -> TokenizerInfo:
        """What is known about a registered tokenizer.

        Raises:
            TokenizerError: the name is not registered, or its files are gone.
        """
        return describe(self.get(name), self._path_of(name))

    def get(self, name: str) -> Tokenizer:
        """The tokenizer of that name, read once and again when its file has changed.

        Raises:
            TokenizerError: the name is not registered, or its files are gone.
        """
        path = self._path_of(name)
        file = path / TOKENIZER_FILE if path.is_dir() else path
        if not file.is_file():
            raise TokenizerError(f"its files are gone: {path}", where=name)
        version = (file, file.stat().st_mtime_ns, file.stat().st_ino)
        if self._loaded.get(name, (None,))[0] != version:
            self._loaded[name] = (version, load_tokenizer(path))
        return self._loaded[name][1]

    def train(
        self, name: str, config: TokenizerConfig, *, path: str | None = None, report: Report
    ) -> TokenizerInfo:
        """Train a tokenizer, save it and register it; an older one of that name is replaced.

        Raises:
            TokenizerError: name, corpus or configuration are wrong.
        """
        folder = self._folder_for(name, path)
        tokenizer = train_tokenizer(config, root=self.root, report=report)
        report({"stage": "saving"})
        save_tokenizer(tokenizer, folder, config.special_tokens)
        self._register(name, folder)
        return describe(tokenizer, folder)

    def add(self, name: str, path: str) -> TokenizerInfo:
        """Register a tokenizer that is on disk already.

        Raises:
            TokenizerError: there is none at `path`.
        """
        folder = self._folder_for(name, path)
        tokenizer = load_tokenizer(folder)
        self._register(name, folder)
        return describe(tokenizer, folder)

    def add_pretrained(self, name: str, hf_pretrained_id: str) -> TokenizerInfo:
        """Fetch a tokenizer of the Hugging Face hub, keep a copy here and register it.

        Raises:
            TokenizerError: no such model, no connection, or not one that `tokenizers` can run.
        """
        folder = self._folder_for(name, None)
        pretrained = _from_hub(hf_pretrained_id)
        folder.mkdir(parents=True, exist_ok=True)
        pretrained.save_pretrained(folder)
        return self.add(name, str(folder))

    def _folder_for(self, name: str, path: str | None) -> Path:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problem = "use letters, digits, '_', '.' and '-', at most 100, a letter or digit first"
            raise TokenizerError(f"{name!r} is no name: {problem}", where="tokenizer_name")
        return self.folder / name if path is None else self.root / path

    def _path_of(self, name: str) -> Path:
        manifest = self._manifest()
        if name not in manifest:
            known = ", ".join(sorted(manifest)) or "none yet"
            problem = f"no tokenizer of this name; train or load it first (known: {known})"
            raise TokenizerError(problem, where=str(name))
        return Path(os.path.normpath(self.folder / manifest[name]["path"]))

    def _register(self, name: str, path: Path) -> None:
        file = self.folder / MANIFEST_FILE
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / f".{MANIFEST_FILE}.lock"):
                manifest = self._manifest()
                manifest[name] = {"path": self._movable(path)}
                write_text_atomically(file, json.dumps(manifest, indent=2), is_private=False)
        except OSError as error:
            raise TokenizerError(
                f"cannot be written: {error.strerror}; it is as it was", where=str(file)
            ) from error

    def _movable(self, path: Path) -> str:
        """What is below `root` as it is from the manifest: all of it may get another place."""
        return os.path.relpath(path, self.folder) if path.is_relative_to(self.root) else str(path)

    def _manifest(self) -> dict[str, dict[str, str]]:
        file = self.folder / MANIFEST_FILE
        try:
            manifest = json.loads(read_plain(file))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise TokenizerError(f"the manifest is damaged: {error}", where=str(file)) from error
        if not isinstance(manifest, dict):
            raise TokenizerError("the manifest is damaged: not an object", where=str(file))
        return manifest


def _from_hub(hf_pretrained_id: str) -> Any:
    try:
        from transformers import AutoTokenizer  # noqa: PLC0415  takes seconds, rarely needed
    except ModuleNotFoundError as error:
        problem = f"needs {error.name}: pip install 'guildbus[torch]'"
        raise TokenizerError(problem, where="hf_pretrained_id") from error
    try:
        load: Any = AutoTokenizer.from_pretrained
        pretrained = load(hf_pretrained_id)
    except Exception as error:
        first_line = str(error).strip().split("\n")[0]
        problem = f"cannot be loaded; check the name and the connection to the hub ({first_line})"
        raise TokenizerError(problem, where=hf_pretrained_id) from error
    if not getattr(pretrained, "is_fast", False):
        problem = "is a tokenizer in Python, which this library cannot run"
        raise TokenizerError(problem, where=hf_pretrained_id)
    return pretrained
