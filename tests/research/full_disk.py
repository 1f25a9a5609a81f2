"""Writes with every tool to the full disk that is the working directory; tells how it went.

Arguments: an archive with a large member, and a corpus, on another disk.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.ml.assembler.jobs import assemble
from agents.ml.data.downloads import unpack
from agents.ml.tokenizer.manager import pytorch_tokenizer_manager
from agents.ml.tokenizer.registry import TokenizerRegistry
from agents.research.text_jobs import collect_corpus
from agents.research.workspace.files import WorkspaceFiles

ROOM_BYTES = 64 * 1024
LARGE = "x" * 10 * ROOM_BYTES
MODEL = {
    "model_name": "Net",
    "input_shape": [2],
    "layers": [{"type": "Linear", "params": {"out_features": 2}}],
}


def main(archive: str, corpus: str) -> None:
    place = Path.cwd()
    files, registry = WorkspaceFiles(place), TokenizerRegistry(place / "names")
    files.write("log", "before")
    learned = {"vocab_size": 9000, "data_files": [corpus], "min_frequency": 1}
    acts: dict[str, Callable[[], Any]] = {
        "write": lambda: files.write("log", LARGE),
        "append": lambda: files.append("log", LARGE),
        "corpus": lambda: collect_corpus({"output_path": "c.txt", "max_bytes": 2**20}, quietly),
        "unpack": lambda: unpack(Path(archive), ["large.bin"], place),
        "tokenizer": lambda: pytorch_tokenizer_manager("train", "t", learned, registry=registry),
        "model": lambda: assemble({"model_config": MODEL, "output_script_path": "n.py"}, quietly),
    }
    with Path("filler").open("wb", buffering=0) as filler:
        filler.write(bytes(2**20 - 2 * ROOM_BYTES))
        said = {}
        for name, act in acts.items():
            if name == "model":  # which is small
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(4096))
            said[name] = error_of(act)
    left = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    print(json.dumps({"said": said, "left": left, "log": files.read("log")}))  # noqa: T201


def quietly(_event: dict[str, Any]) -> None:
    """Say nothing."""


def error_of(act: Callable[[], Any]) -> str:
    try:
        act()
    except Exception as error:  # noqa: BLE001  whatever it is, it is told
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
